package relay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child whose output goes to a file and which can never outlive the test: it has a process group of
// its own that is killed as a whole, and the kernel kills it when the test process dies without cleaning up.
type Process struct {
	name    string
	command *exec.Cmd
	logPath string
	log     *os.File
	done    chan struct{}
	waitErr error
	once    sync.Once
}

// StartProcess runs argv with extra environment variables and writes what it prints to logPath.
func StartProcess(name string, argv, env []string, logPath string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	command := exec.Command(argv[0], argv[1:]...)
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("%s does not start: %w", name, err)
	}
	process := &Process{name: name, command: command, logPath: logPath, log: log, done: make(chan struct{})}
	go func() {
		process.waitErr = command.Wait()
		close(process.done)
	}()
	return process, nil
}

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process itself, not to its group.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// Stop asks the process to end, waits, and kills its group when it does not. It returns an error when the process
// had to be killed, or ended in another way than by the request.
func (p *Process) Stop(patience time.Duration) error {
	var result error
	p.once.Do(func() {
		select {
		case <-p.done:
			result = fmt.Errorf("%s had already ended: %v", p.name, p.waitErr)
		default:
			result = p.terminate(patience)
		}
		p.killGroup()
		p.log.Close()
	})
	return result
}

func (p *Process) terminate(patience time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.killGroup()
		<-p.done
		return fmt.Errorf("%s ignored SIGTERM for %v and was killed", p.name, patience)
	}
	var exit *exec.ExitError
	if errors.As(p.waitErr, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	if p.waitErr != nil {
		return fmt.Errorf("%s ended badly: %w", p.name, p.waitErr)
	}
	return nil
}

func (p *Process) killGroup() {
	// The group may have ended already; then there is nothing to do.
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
}

// Kill ends the process and its group at once and waits for its end. Safe after Stop.
func (p *Process) Kill() {
	p.once.Do(func() {
		p.killGroup()
		<-p.done
		p.log.Close()
	})
}

// LogTail returns the last lines that the process printed.
func (p *Process) LogTail(lines int) string {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
