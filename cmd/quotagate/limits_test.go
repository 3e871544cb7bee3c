package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"quotagate/proxy"
)

func TestTheDefaultsAreThoseOfTheProxy(t *testing.T) {
	c, err := program{env: []string{"HOME=" + t.TempDir()}}.config(&flags{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Limits.server(), proxy.DefaultLimits(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestEveryLimitHasARange(t *testing.T) {
	var ranged []string
	for _, b := range new(limits).ranges() {
		ranged = append(ranged, envPrefix+b.name)
	}
	names := variables(reflect.TypeFor[limits]())
	slices.Sort(ranged)
	slices.Sort(names)
	if !slices.Equal(ranged, names) {
		t.Errorf("ranges of %v, variables %v", ranged, names)
	}
	for _, b := range new(limits).ranges() {
		for _, wrong := range []string{"-1", "-1s", "99999999999999", "3000000h", "x"} {
			_, err := program{env: []string{"HOME=" + t.TempDir(), envPrefix + b.name + "=" + wrong}}.config(&flags{})
			if err == nil {
				t.Errorf("%s takes %s", b.name, wrong)
			} else if !strings.Contains(err.Error(), "between") && !strings.HasPrefix(err.Error(), envPrefix+b.name+" is ") {
				t.Errorf("%s=%s: %v", b.name, wrong, err)
			}
		}
	}
}
