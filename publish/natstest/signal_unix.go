//go:build unix

package natstest

import "syscall"

// Pause stops the process as a machine that hangs does: its connections stay open,
// and nobody answers on them. It returns when the process has stopped.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		s.t.Fatalf("nats-server does not stop: %v, %v", status, err)
	}
}

// Resume lets a process go on that Pause has stopped.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Reload has the server read its configuration again, some time after it returns.
func (s *Server) Reload() { s.signal(syscall.SIGHUP) }

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}
