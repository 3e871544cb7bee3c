package rules

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestLimitsAsPeopleSeeThem(t *testing.T) {
	s := mustLoad(t, wired+`accounts: {anna: {identity: {acme.box: a}, use: ./own.yaml}}
limits:
  - {name: day, on: acme.*, allow: {free: 15, gold: 30}, per: day, source: a page}
  - {name: pair, on: acme.message, allow: 2, per: 7d, by: recipient, mode: shadow, wait: 0}
  - {name: apart, on: acme.message, pace: 90s, plans: [gold, free], when: 'class == "manual"'}
`, "own.yaml", "version: 1\nlimits: [{name: own, on: acme.post, allow: 1, per: lifetime}]")
	got, err := json.Marshal(s.Limits())
	if err != nil {
		t.Fatal(err)
	}
	want := `[` +
		`{"name":"own","on":["acme.post"],"measure":"allow","allow":1,"per":"lifetime","accounts":["anna"],"wait_ms":4000,"mode":"enforce","at":{"file":"own.yaml","line":2,"col":17}},` +
		`{"name":"day","on":["acme.bulk","acme.message","acme.post"],"measure":"allow","allow":{"free":15,"gold":30},"per":"day","wait_ms":4000,"mode":"enforce","source":"a page","at":{"file":"rules.yaml","line":25,"col":12}},` +
		`{"name":"pair","on":["acme.message"],"measure":"allow","allow":2,"per":"7d","by":"recipient","wait_ms":0,"mode":"shadow","at":{"file":"rules.yaml","line":26,"col":12}},` +
		`{"name":"apart","on":["acme.message"],"measure":"pace","pace":"1m30s","plans":["free","gold"],"when":"class == \"manual\"","wait_ms":4000,"mode":"enforce","at":{"file":"rules.yaml","line":27,"col":12}}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if names := s.MessageNames(); !slices.Equal(names, []string{"acme.bulk", "acme.message", "acme.post", "other.message"}) {
		t.Error(names)
	}
	if s.Limits()[1].Allow.String() != "free 15, gold 30" {
		t.Error(s.Limits()[1].Allow)
	}
	if s.Location("anna").String() != "UTC" || s.Plan("x~1") != "free" || s.Mode() != "enforce" {
		t.Error(s.Location("anna"), s.Plan("x~1"), s.Mode())
	}
}
