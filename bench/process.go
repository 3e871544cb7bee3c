package main

// This file starts the processes that are measured, reads what they use, and
// ends them, each by its own id.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is one that this program started.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	log  string // the file with its output
	done chan error
}

// start runs a program with its output in dir/NAME.log; first, if not nil,
// gets the first line of its standard output.
func start(dir, name, program string, args, env []string, first *string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan error, 1)}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	var line io.Reader
	if first != nil {
		p.cmd.Stdout = nil
		if line, err = p.cmd.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if first != nil {
		text, err := bufio.NewReader(line).ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("start %s: %w; %s", name, errors.Join(err, p.cmd.Wait()), p.lastWords())
		}
		*first = strings.TrimSpace(text)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

// role starts this program as one of its roles and returns where it listens.
func role(dir, name string, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	var addr string
	p, err := start(dir, name, self, append([]string{name}, args...), nil, &addr)
	return p, addr, err
}

// answering waits until somebody accepts connections at addr.
func (p *process) answering(ctx context.Context, addr string) error {
	for deadline := time.After(20 * time.Second); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("%s ended before it answered: %w; %s", p.name, err, p.lastWords())
		case <-deadline:
			return fmt.Errorf("%s does not answer at %s; %s", p.name, addr, p.lastWords())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the process: politely, and after five seconds not.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.in.Close()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) lastWords() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return "it said: " + strings.TrimSpace(string(data[max(0, len(data)-2000):]))
}

// cpu is the time that the process has used, in user and kernel mode. /proc
// counts in hundredths of a second on every Linux (proc_pid_stat(5), USER_HZ).
func (p *process) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of %s: %w", p.name, err)
	}
	// The name, in brackets, may hold anything; utime and stime are the 12th
	// and 13th field behind it.
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time of %s: %q", p.name, data)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of %s: %w", p.name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// filesystem names the kind of file system that dir lies on.
func filesystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err.Error()
	}
	// statfs(2)
	names := map[int64]string{0xef53: "ext4", 0x01021994: "tmpfs", 0x794c7630: "overlayfs", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs"}
	if name, ok := names[int64(s.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", s.Type)
}
