package quotagate

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

type composeService struct {
	Image       string
	Build       string
	Command     []string
	Environment map[string]string
	Secrets     []string
	Volumes     []string
	Ports       []string
	Networks    []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
	User        string
}

// There is no engine to try it with where the tests run: this holds what the
// file must say for quotas to be kept.
func TestTheComposeFileKeepsQuotas(t *testing.T) {
	text, err := os.ReadFile("docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Services map[string]composeService
		Networks map[string]struct{ Internal bool }
		Secrets  map[string]struct{ Environment string }
		Volumes  map[string]struct{}
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	redis, proxy := f.Services["redis"], f.Services["proxy"]
	command := strings.Join(redis.Command, " ")
	for _, want := range []string{"--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"} {
		if !strings.Contains(command, want) {
			t.Errorf("Redis is not started with %s", want)
		}
	}
	if len(redis.Ports) != 0 || len(redis.Healthcheck.Test) == 0 {
		t.Error("Redis is published, or its health is not looked at")
	}
	if proxy.Build != "." || proxy.DependsOn["redis"].Condition != "service_healthy" || proxy.Environment["QUOTAGATE_STORE"] != "redis://redis:6379/0" {
		t.Errorf("the proxy is not built and started on Redis: %+v", proxy)
	}
	for _, p := range proxy.Ports {
		if !strings.HasPrefix(p, "127.0.0.1:") {
			t.Errorf("port %s can be reached by others", p)
		}
	}
	for name, s := range f.Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, ok := f.Volumes[source]; !ok && !strings.HasPrefix(source, "./") {
				t.Errorf("%s: volume %s is not declared", name, source)
			}
		}
		for _, n := range s.Networks {
			if _, ok := f.Networks[n]; !ok {
				t.Errorf("%s: network %s is not declared", name, n)
			}
		}
		for _, secret := range s.Secrets {
			if f.Secrets[secret].Environment == "" || !slices.Contains(slices.Collect(maps.Values(s.Environment)), "/run/secrets/"+secret) {
				t.Errorf("%s: secret %s is not declared or not used", name, secret)
			}
		}
	}
	// The image runs as nobody, and its data directory is nobody's.
	docker, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nUSER 65532:65532\n", "--chown=65532:65532 /out/data /data", "ca-certificates.crt"} {
		if !strings.Contains(string(docker), want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
}
