// Package guestoperations starts guests under the simulated VMX and speaks with them (bridge/ is the other end).
package guestoperations

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// A Bridge is a running guest. As a VMX does, it asks one thing at a time.
type Bridge struct {
	mutex   sync.Mutex
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
	folder  string
}

// Start starts a guest; arguments are the bridge's own, of which the last is the folder with what it needs.
func Start(bridge string, arguments ...string) (*Bridge, error) {
	command := exec.Command(bridge, arguments...)
	command.Stderr = os.Stderr

	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}

	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}

	if err := command.Start(); err != nil {
		return nil, err
	}

	b := &Bridge{command: command, input: input, output: bufio.NewReader(output), folder: arguments[len(arguments)-1]}
	// It says so when the guest is there.
	if _, err := b.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("the guest does not start: %w", err), b.Close())
	}

	return b, nil
}

// Request sends a TCLO request to the guest and gives its reply.
func (b *Bridge) Request(request []byte) ([]byte, error) {
	return b.exchange('r', request)
}

// Control does what a line says (bridge/src/control.rs).
func (b *Bridge) Control(line string) (string, error) {
	said, err := b.exchange('c', []byte(line))
	if err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}

	return string(said), nil
}

// Folder is where the guest has what it needs.
func (b *Bridge) Folder() string {
	return b.folder
}

// Close ends the guest.
func (b *Bridge) Close() error {
	return errors.Join(b.input.Close(), b.command.Wait())
}

func (b *Bridge) exchange(letter byte, payload []byte) ([]byte, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()

	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)+1))
	frame = append(append(frame, letter), payload...)

	if _, err := b.input.Write(frame); err != nil {
		return nil, err
	}

	return b.read()
}

func (b *Bridge) read() ([]byte, error) {
	var length uint32
	if err := binary.Read(b.output, binary.LittleEndian, &length); err != nil {
		return nil, err
	}

	frame := make([]byte, length)
	if _, err := io.ReadFull(b.output, frame); err != nil {
		return nil, err
	}

	if len(frame) == 0 {
		return nil, errors.New("an empty frame")
	}

	if frame[0] != 'o' {
		return nil, errors.New(string(frame[1:]))
	}

	return frame[1:], nil
}
