package vmx

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/vmware/govmomi/toolbox/vix"
)

// An Operator asks a guest in the name of one user.
type Operator struct {
	Guest      Guest
	Credential Credential
}

// Do sends a command and gives its result.
func (o Operator) Do(op uint32, body []byte) ([]byte, error) {
	return Do(o.Guest, Command{Op: op, Body: body, Credential: o.Credential})
}

// ToolsState is what the guest says of itself; it needs no credentials.
func ToolsState(guest Guest) (map[int32]any, error) {
	result, err := Do(guest, Command{Op: vix.CommandGetToolsState})
	if err != nil {
		return nil, err
	}

	raw, err := base64.StdEncoding.DecodeString(string(result))
	if err != nil {
		return nil, err
	}

	// govmomi's decoder keeps to itself what it has read, but it has to be able to.
	var list vix.PropertyList

	if err := list.UnmarshalBinary(raw); err != nil {
		return nil, err
	}

	if !bytes.Equal(marshal(&list), raw) {
		return nil, fmt.Errorf("govmomi reads other properties: %q", raw)
	}

	properties := map[int32]any{}

	for len(raw) > 0 {
		if len(raw) < 12 {
			return nil, fmt.Errorf("a property of %d bytes", len(raw))
		}

		length := 12 + int(binary.LittleEndian.Uint32(raw[8:]))
		if length > len(raw) {
			return nil, fmt.Errorf("a property of %d bytes, of which there are %d", length, len(raw))
		}

		id, kind, data := int32(binary.LittleEndian.Uint32(raw)), binary.LittleEndian.Uint32(raw[4:]), raw[12:length]

		switch {
		case kind == 1 && len(data) == 4:
			properties[id] = int32(binary.LittleEndian.Uint32(data))
		case kind == 2 && bytes.IndexByte(data, 0) == len(data)-1:
			properties[id] = string(data[:len(data)-1])
		case kind == 3 && len(data) == 1:
			properties[id] = data[0] != 0
		case kind == 5 && len(data) == 8:
			properties[id] = int64(binary.LittleEndian.Uint64(data))
		case kind == 6:
			properties[id] = data
		default:
			return nil, fmt.Errorf("property %d of type %d has %d bytes", id, kind, len(data))
		}

		raw = raw[length:]
	}

	return properties, nil
}

// Validate asks whether the credentials are good.
func (o Operator) Validate() error {
	_, err := o.Do(ValidateCredentials, nil)

	return err
}

// Start starts a program and gives its number.
func (o Operator) Start(path, arguments, folder string, environment ...string) (int64, error) {
	body := marshal(&vix.StartProgramRequest{
		ProgramPath: path,
		Arguments:   arguments,
		WorkingDir:  folder,
		EnvVars:     environment,
	})

	result, err := o.Do(vix.CommandStartProgram, body)
	if err != nil {
		return 0, err
	}

	return number(result)
}

// Terminate ends a program.
func (o Operator) Terminate(pid int64) error {
	request := vix.KillProcessRequest{}
	request.Body.Pid = pid
	_, err := o.Do(vix.CommandTerminateProcess, marshal(&request))

	return err
}

// Processes lists all of them, or these, however many pages it takes.
func (o Operator) Processes(pids ...int64) ([]Process, error) {
	request := vix.ListProcessesRequest{Pids: pids}

	return processes(func(key, offset uint32) ([]byte, error) {
		request.Body.Key, request.Body.Offset = key, offset

		return o.Do(vix.CommandListProcessesEx, marshal(&request))
	})
}

// Environment is the environment, or these variables of it, `NAME=VALUE`.
func (o Operator) Environment(names ...string) ([]string, error) {
	result, err := o.Do(vix.CommandReadEnvVariables, marshal(&vix.ReadEnvironmentVariablesRequest{Names: names}))
	if err != nil {
		return nil, err
	}

	return variables(result)
}

// List lists a folder, or gives one file: entries from `index` on, at most `most`, whose names match, and how many
// follow.
func (o Operator) List(path, pattern string, index, most int32) ([]File, int, error) {
	return files(func(offset uint64) ([]byte, error) {
		return o.Do(vix.CommandListFiles, listBody(path, pattern, index, most, offset))
	})
}

// FromGuest asks for a file before it is read.
func (o Operator) FromGuest(path string) (File, error) {
	result, err := o.Do(vix.CommandInitiateFileTransferFromGuest, listBody(path, "", 0, 0, 0))
	if err != nil {
		return File{}, err
	}

	return oneFile(result)
}

// listBody has lengths without the NUL, as hosts send them; govmomi's encoder of this one counts it.
func listBody(path, pattern string, index, most int32, offset uint64) []byte {
	request := vix.ListFilesRequest{}
	request.Body.GuestPathNameLength = uint32(len(path))
	request.Body.PatternLength = uint32(len(pattern))
	request.Body.Index = index
	request.Body.MaxResults = most
	request.Body.Offset = offset

	var body bytes.Buffer

	if err := binary.Write(&body, binary.LittleEndian, request.Body); err != nil {
		panic(err)
	}

	body.WriteString(path + "\x00" + pattern + "\x00")

	return body.Bytes()
}

// ToGuest asks whether a file may be written.
func (o Operator) ToGuest(path string, overwrite bool) error {
	request := vix.InitiateFileTransferToGuestRequest{GuestPathName: path}
	request.Body.Overwrite = overwrite
	_, err := o.Do(vix.CommandInitiateFileTransferToGuest, marshal(&request))

	return err
}

// TemporaryFile makes an empty file and gives its path.
func (o Operator) TemporaryFile(prefix, suffix, folder string) (string, error) {
	return o.temporary(vix.CommandCreateTemporaryFileEx, prefix, suffix, folder)
}

// TemporaryFolder makes a folder.
func (o Operator) TemporaryFolder(prefix, suffix, folder string) (string, error) {
	return o.temporary(vix.CommandCreateTemporaryDirectory, prefix, suffix, folder)
}

func (o Operator) temporary(op uint32, prefix, suffix, folder string) (string, error) {
	path, err := o.Do(op, marshal(&vix.CreateTempFileRequest{FilePrefix: prefix, FileSuffix: suffix, DirectoryPath: folder}))

	return string(path), err
}

// DeleteFile removes a file.
func (o Operator) DeleteFile(path string) error {
	_, err := o.Do(vix.CommandDeleteGuestFileEx, marshal(&vix.FileRequest{GuestPathName: path}))

	return err
}

// DeleteFolder removes a folder.
func (o Operator) DeleteFolder(path string, recursive bool) error {
	return o.folder(vix.CommandDeleteGuestDirectoryEx, path, recursive)
}

// MakeFolder makes a folder.
func (o Operator) MakeFolder(path string, parents bool) error {
	return o.folder(vix.CommandCreateDirectoryEx, path, parents)
}

func (o Operator) folder(op uint32, path string, flag bool) error {
	request := vix.DirRequest{GuestPathName: path}
	request.Body.Recursive = flag
	_, err := o.Do(op, marshal(&request))

	return err
}

// MoveFile renames a file.
func (o Operator) MoveFile(from, to string, overwrite bool) error {
	return o.move(vix.CommandMoveGuestFileEx, from, to, overwrite)
}

// MoveFolder renames a folder.
func (o Operator) MoveFolder(from, to string) error {
	return o.move(vix.CommandMoveGuestDirectory, from, to, false)
}

func (o Operator) move(op uint32, from, to string, overwrite bool) error {
	request := vix.RenameFileRequest{OldPathName: from, NewPathName: to}
	request.Body.Overwrite = overwrite
	_, err := o.Do(op, marshal(&request))

	return err
}

// SetPermissions changes a file's permissions.
func (o Operator) SetPermissions(path string, permissions int32) error {
	request := vix.SetGuestFileAttributesRequest{GuestPathName: path}
	request.Body.FileOptions = vix.FileAttributeSetUnixPermissions
	request.Body.Permissions = permissions
	_, err := o.Do(vix.CommandSetGuestFileAttributes, marshal(&request))

	return err
}
