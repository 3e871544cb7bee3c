package ratelimit

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends a server even if the test's process is killed.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
