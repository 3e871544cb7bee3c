package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"quotagate/proxy/admin"
)

func exporting(f func(context.Context, io.Writer) error) func(*admin.Config) {
	return func(c *admin.Config) { c.Export = f }
}

func TestTheLedgerIsExportedWholeOrNotAtAll(t *testing.T) {
	d := newDesk(t, exporting(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "{}\n{}\n")
		return err
	}))
	if w := d.ask("GET", "/api/v1/ledger", ""); w.Code != 200 || w.Body.String() != "{}\n{}\n" || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	d = newDesk(t, exporting(func(context.Context, io.Writer) error { return errDisk }))
	if w := d.ask("GET", "/api/v1/ledger", ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the disk is gone") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := newDesk(t).ask("GET", "/api/v1/ledger", ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	// What breaks off in the middle is not taken for the whole.
	d = newDesk(t, exporting(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat("{}\n", 10000))
		return errors.Join(err, errDisk)
	}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = "127.0.0.1:8081"
		d.ServeHTTP(w, r)
	}))
	defer s.Close()
	resp, err := http.Get(s.URL + "/api/v1/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%d bytes of half a ledger are whole", len(b))
	}
}

func TestAStoreThatLostItsDataIsAcceptedByAPerson(t *testing.T) {
	accepted := 0
	down := "since noon: it has lost what it counted"
	d := newDesk(t, func(c *admin.Config) {
		c.StoreError = func() string { return down }
		c.Accept = func(context.Context) error {
			if down == "" {
				return errors.New("it has not lost anything")
			}
			accepted, down = accepted+1, ""
			return nil
		}
	})
	if s := read[admin.Status](t, d.ask("GET", "/api/v1/status", "")); s.StoreError != down {
		t.Errorf("%+v", s)
	}
	const path = "/api/v1/ledger/accept"
	if w := d.ask("POST", path, "", "Origin: https://evil.example"); w.Code != http.StatusForbidden || accepted != 0 {
		t.Errorf("from another site: %d", w.Code)
	}
	if w := d.ask("GET", path, ""); w.Code != http.StatusMethodNotAllowed || accepted != 0 {
		t.Errorf("by GET: %d", w.Code)
	}
	if w := d.ask("POST", path, ""); w.Code != 200 || accepted != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := d.ask("POST", path, ""); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "not lost anything") {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
	if s := read[admin.Status](t, d.ask("GET", "/api/v1/status", "")); s.StoreError != "" {
		t.Errorf("%+v", s)
	}
	if w := newDesk(t).ask("POST", path, ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
