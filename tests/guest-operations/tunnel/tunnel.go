// Package tunnel carries a TCP connection to a node's Talos API through guest operations of vSphere: the agent's program
// apid.Stream connects to apid, its stdin and stdout are files that the client writes and reads.
//
//	client ─ TCP ─ tunnel ─ SOAP, HTTPS ─ vCenter ─ VMX ─ agent: apid.Stream ─ TCP ─ apid
//
// What goes through it is what the client and apid say to each other: TLS, which no one between them can read.
package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/guest/toolbox"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	// program is what the agent calls it.
	program = "apid.Stream"
	// mostInUpload goes up at once; the agent keeps what apid does not take yet.
	mostInUpload = 256 << 10
	// The pause after a look that found nothing grows from the first to the second.
	shortPause, longPause = 20 * time.Millisecond, time.Second
	// patience is for what has to be asked again, and for the end.
	patience = 30 * time.Second
	// grace is how long the output is still read when nothing goes up any more.
	grace = 5 * time.Second
)

// Serve takes connections until the listener is closed, and carries each to the node; `report` hears why one ended badly.
func Serve(ctx context.Context, listener net.Listener, node *toolbox.Client, report func(error)) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}

		go func() {
			if err := Carry(ctx, connection, node); err != nil {
				report(err)
			}
		}()
	}
}

// Carry carries one connection, until either end of it is closed.
func Carry(ctx context.Context, connection net.Conn, node *toolbox.Client) (err error) {
	defer func() { err = errors.Join(err, ignoreClosed(connection.Close())) }()

	pid, err := node.ProcessManager.StartProgram(ctx, node.Authentication, &types.GuestProgramSpec{ProgramPath: program})
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	stream := &stream{node: node, pid: pid, moved: make(chan struct{}, 1)}
	// Closing the connection ends the reader of it.
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()

	up := make(chan error, 1)

	go func() {
		err := stream.up(ctx, connection)
		up <- err

		if err == nil {
			// The client is gone: nothing that still comes is for anybody.
			cancel(errClientGone)

			return
		}

		// A program that takes nothing has ended, mostly: its output says why.
		time.AfterFunc(grace, func() { cancel(err) })
	}()

	down := stream.down(ctx, connection)
	cancel(nil)

	// What the context's end broke off is no trouble of its own.
	for _, broken := range []error{<-up, down} {
		if broken != nil && !errors.Is(broken, context.Canceled) && !errors.Is(broken, net.ErrClosed) &&
			!errors.Is(broken, errClientGone) {
			err = errors.Join(err, broken)
		}
	}

	return errors.Join(err, stream.end())
}

var errClientGone = errors.New("the client has closed the connection")

// A stream is a running program.
type stream struct {
	node *toolbox.Client
	pid  int64
	// moved says that something went up, so that an answer is near.
	moved chan struct{}
}

func (s *stream) file(name string) string {
	return fmt.Sprintf("/proc/%d/%s", s.pid, name)
}

// up writes what the client sends to the program's stdin, until the client ends.
func (s *stream) up(ctx context.Context, from io.Reader) error {
	buffer := make([]byte, mostInUpload)

	for {
		length, err := from.Read(buffer)
		if length > 0 {
			if err := s.upload(ctx, buffer[:length]); err != nil {
				return fmt.Errorf("upload: %w", err)
			}

			select {
			case s.moved <- struct{}{}:
			default:
			}
		}

		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}
	}
}

func (s *stream) upload(ctx context.Context, data []byte) error {
	return again(ctx, patience, func() error {
		parameters := soap.DefaultUpload
		parameters.ContentLength = int64(len(data))
		attributes := new(types.GuestPosixFileAttributes)

		return s.node.Upload(ctx, bytes.NewReader(data), s.file("stdin"), parameters, attributes, true)
	})
}

// down writes what the program's stdout has to the client, until that ends.
func (s *stream) down(ctx context.Context, to io.Writer) error {
	pause := shortPause

	for {
		data, err := s.download(ctx, "stdout")

		switch {
		case err == nil && len(data) == 0:
			// An empty file is the end.
			return s.verdict(ctx)
		case err == nil:
			if _, err := to.Write(data); err != nil {
				return err
			}

			pause = shortPause
		case !isNothingYet(err):
			return fmt.Errorf("download: %w", err)
		default:
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-s.moved:
				pause = shortPause
			case <-time.After(pause):
				pause = min(2*pause, longPause)
			}
		}

		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// download gives what a file of the program has; it is gone from there then.
func (s *stream) download(ctx context.Context, name string) ([]byte, error) {
	file, _, err := s.node.Download(ctx, s.file(name))
	if err != nil {
		return nil, err
	}

	data, err := io.ReadAll(file)

	return data, errors.Join(err, file.Close())
}

// verdict is what a program that has ended says of it.
func (s *stream) verdict(ctx context.Context) error {
	processes, err := s.node.ProcessManager.ListProcesses(ctx, s.node.Authentication, []int64{s.pid})
	if err != nil {
		return fmt.Errorf("ask how %s ended: %w", program, err)
	}

	if len(processes) != 1 || processes[0].ExitCode == 0 {
		return nil
	}

	reason, err := s.download(ctx, "stderr")
	if err != nil {
		return fmt.Errorf("%s ended with code %d: %w", program, processes[0].ExitCode, err)
	}

	return fmt.Errorf("%s ended with code %d: %s", program, processes[0].ExitCode, strings.TrimSpace(string(reason)))
}

// end ends the program, unless it has ended. The caller's context may be over already.
func (s *stream) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	err := s.node.ProcessManager.TerminateProcess(ctx, s.node.Authentication, s.pid)
	if err != nil && !fault.Is(err, new(types.GuestProcessNotFound)) {
		return fmt.Errorf("end %s: %w", program, err)
	}

	return nil
}

// again tries for a time while the guest says that it is not so far yet.
func again(ctx context.Context, patience time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	for {
		err := do()
		if err == nil || !isNothingYet(err) {
			return err
		}

		select {
		case <-ctx.Done():
			return err
		case <-time.After(shortPause):
		}
	}
}

func isNothingYet(err error) bool {
	return fault.Is(err, new(types.CannotAccessFile))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}

	return err
}
