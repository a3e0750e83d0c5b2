package etcd_test

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

const watchdogName = "etcd-watchdog"

// Longest freeze that the watchdog lets be.
const longest = 15 * time.Second

// What the watchdog hears.
const (
	isFrozen byte = iota
	isThawed
)

// A process that thaws whatever becomes of the test: a file system that stays frozen cannot be unmounted, and holds
// whoever touches it.
type watchdog struct {
	process *exec.Cmd
	pipe    *os.File
}

func startWatchdog(t *testing.T, root *os.File) *watchdog {
	reader, writer, err := os.Pipe()
	must(t, err)

	process := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{watchdogName},
		Stdin:       reader,
		ExtraFiles:  []*os.File{root},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	must(t, process.Start())
	must(t, reader.Close())

	return &watchdog{process: process, pipe: writer}
}

func (w *watchdog) frozen() { _, _ = w.pipe.Write([]byte{isFrozen}) }

func (w *watchdog) thawed() { _, _ = w.pipe.Write([]byte{isThawed}) }

// It thaws what may still be frozen, and ends.
func (w *watchdog) end() {
	_ = w.pipe.Close()
	_ = w.process.Wait()
}

// The watchdog's own process: descriptor 3 is the root of the file system.
func watch() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	root := os.NewFile(3, "root")
	words := make(chan byte)

	go func() {
		defer close(words)

		word := make([]byte, 1)
		for {
			if _, err := os.Stdin.Read(word); err != nil {
				return
			}

			words <- word[0]
		}
	}()

	var late <-chan time.Time

	for {
		select {
		case word, more := <-words:
			switch {
			case !more:
				_ = ioctl(root, fiThaw)

				os.Exit(0)
			case word == isFrozen:
				late = time.After(longest)
			default:
				late = nil
			}
		case <-late:
			late = nil
			_ = ioctl(root, fiThaw)
		}
	}
}
