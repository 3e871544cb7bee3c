package proxy_test

import (
	"os"
	"testing"

	"quotagate/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m, os.Stderr)) }
