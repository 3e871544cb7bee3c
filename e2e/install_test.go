package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An installer is a machine for `ca install`: a home directory and a data
// directory of its own, and never this machine's own stores.
type installer struct {
	home, data string
	env        []string
	user       *syscall.Credential
}

func newInstaller(t *testing.T, env ...string) *installer {
	t.Helper()
	i := &installer{home: t.TempDir(), data: t.TempDir()}
	rules := filepath.Join(t.TempDir(), "quotagate.yaml")
	writeFile(t, rules, trustRules)
	i.env = cleanEnv(append([]string{"HOME=" + i.home, "QUOTAGATE_DATA=" + i.data, "QUOTAGATE_RULES=" + rules}, env...)...)
	return i
}

// ca runs a `ca` verb and returns all it printed, and its exit code.
func (i *installer) ca(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), append([]string{"ca"}, args...)...)
	cmd.Env = i.env
	if i.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.user}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("quotagate ca %v: %v", args, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (i *installer) want(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	if out, got := i.ca(t, args...); got != code || !strings.Contains(out, says) {
		t.Errorf("ca %s: exit %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, says, out)
	}
}

// TestInstallDoesEachThingOnceAndSaysIt: in the databases of Chromium and of a
// Firefox profile.
func TestInstallDoesEachThingOnceAndSaysIt(t *testing.T) {
	need(t, "certutil")
	i := newInstaller(t)
	i.want(t, 0, "", "show")
	profiles := []string{".pki/nssdb", ".mozilla/firefox/abc.default"}
	for _, p := range profiles {
		dir := filepath.Join(i.home, p)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("certutil", "-N", "--empty-password", "-d", "sql:"+dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	lines := func(what string) int {
		n := 0
		for _, p := range profiles {
			out, err := exec.Command("certutil", "-L", "-d", "sql:"+filepath.Join(i.home, p)).Output()
			if err != nil {
				t.Fatal(err)
			}
			n += strings.Count(string(out), what)
		}
		return n
	}
	for _, step := range []struct {
		says string
		args []string
		held int
	}{
		{"would be installed", []string{"install", "--nss", "--dry-run"}, 0},
		{": installed", []string{"install", "--nss"}, 2},
		{"there already", []string{"install", "--nss"}, 2},
		{"trusted in   " + filepath.Join(i.home, profiles[1]), []string{"show"}, 2},
		{"", []string{"rotate"}, 2},
		{": installed", []string{"install", "--nss"}, 4},
		{"ca uninstall --old", []string{"rotate", "--finish"}, 4},
		{": removed", []string{"uninstall", "--nss", "--old"}, 2},
		{": removed", []string{"uninstall", "--nss"}, 0},
		{"not there", []string{"uninstall", "--nss"}, 0},
	} {
		i.want(t, 0, step.says, step.args...)
		if n := lines("quotagate-"); n != step.held || lines("C,,") != step.held {
			t.Errorf("after ca %v the databases hold %d, want %d", step.args, n, step.held)
		}
	}
}

func TestInstallSaysWhatIsMissing(t *testing.T) {
	need(t, "certutil")
	i := newInstaller(t)
	dir := filepath.Join(i.home, ".pki", "nssdb")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "cert9.db"), "")
	i.env = append(i.env, "PATH="+t.TempDir())
	i.want(t, 1, "apt-get install libnss3-tools", "install", "--nss")
	i.want(t, 0, "", "show")

	empty := newInstaller(t)
	empty.env = append(empty.env, "PATH="+t.TempDir())
	empty.want(t, 0, "no Firefox or Chromium", "install", "--nss")
}

func TestACAForEveryHostIsNotInstalledUnasked(t *testing.T) {
	need(t, "certutil", "chromium")
	i := newInstaller(t, "QUOTAGATE_NAME_CONSTRAINTS=off")
	i.want(t, 1, "could pose as any site", "install", "--nss")
	i.want(t, 0, ": installed", "install", "--nss", "--unlimited")
}

// TestTheSystemsStoreNeedsRoot asks as somebody else.
func TestTheSystemsStoreNeedsRoot(t *testing.T) {
	i := newInstaller(t)
	i.want(t, 0, "", "show")
	i.env = append(i.env, "PATH="+t.TempDir()) // there is no sudo
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := filepath.WalkDir(i.data, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, nobody, nobody))
		}); err != nil {
			t.Fatal(err)
		}
		for dir := i.data; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range []string{binary(t), binary(t) + "/..", i.rules() + "/../..", i.rules() + "/..", i.rules()} {
			if err := os.Chmod(filepath.Clean(file), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		i.user = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	i.want(t, 1, "by root alone", "install", "--system")
}

func (i *installer) rules() string {
	for _, v := range i.env {
		if file, ok := strings.CutPrefix(v, "QUOTAGATE_RULES="); ok {
			return file
		}
	}
	return ""
}

// inNamespace runs a command where /etc/ssl and the anchors beside it are
// copies that are gone with it.
const inNamespace = `
set -e
mount -t tmpfs tmpfs "$1"
for dir in /etc/ssl /usr/local/share/ca-certificates; do
  upper="$1$dir/upper"; work="$1$dir/work"; mkdir -p "$upper" "$work"
  mount -t overlay overlay -o "lowerdir=$dir,upperdir=$upper,workdir=$work" "$dir"
done
shift
exec "$@"
`

// TestTheSystemsStoreTakesTheCA: in a namespace of its own, where curl then
// trusts it unasked.
func TestTheSystemsStoreTakesTheCA(t *testing.T) {
	need(t, "unshare", "update-ca-certificates", "openssl")
	scratch := t.TempDir()
	enter := []string{"unshare", "-m", "sh", "-c", inNamespace, "sh", scratch}
	if os.Geteuid() != 0 {
		enter = append([]string{"unshare", "-r"}, enter[1:]...)
	}
	if out, err := exec.Command(enter[0], append(enter[1:], "true")...).CombinedOutput(); err != nil {
		missing(t, "no namespace with mounts of its own can be made here: %v: %s", err, out)
	}
	before := anchors(t)
	i := newInstaller(t)
	i.want(t, 0, "", "show")
	script := `
q="$0"
$q ca install --system && $q ca install --system && $q ca show
openssl verify -CApath /etc/ssl/certs "$1/ca.pem"
$q ca uninstall --system && $q ca uninstall --system
openssl verify -CApath /etc/ssl/certs "$1/ca.pem" || echo no longer
`
	cmd := exec.Command(enter[0], append(enter[1:], "sh", "-c", script, binary(t), i.data)...)
	cmd.Env = i.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := string(out)
	for _, says := range []string{": installed", ": there already", "trusted in   system", "/ca.pem: OK", ": removed", ": not there", "no longer"} {
		_, after, ok := strings.Cut(rest, says)
		if !ok {
			t.Fatalf("no %q, in this order, in\n%s", says, out)
		}
		rest = after
	}
	if now := anchors(t); now != before {
		t.Errorf("this machine's own store has changed: %s, before %s", now, before)
	}
}

// anchors tells whether this machine's own store is as it was.
func anchors(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"/usr/local/share/ca-certificates", "/etc/ssl/certs"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all.WriteString(e.Name() + " ")
		}
	}
	return all.String()
}
