package vcenter

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"talos-vmtoolsd/guest-operations/vmx"
)

// files is the GuestFileManager.
type files struct {
	mo.GuestFileManager
	*VCenter
}

// Reference is that of the manager.
func (m *files) Reference() types.ManagedObjectReference { return m.Self }

// mostFiles are listed where a client does not say how many.
const mostFiles = 50

// ListFilesInGuest asks the guest.
func (m *files) ListFilesInGuest(ctx *simulator.Context, req *types.ListFilesInGuest) soap.HasFault {
	body := new(methods.ListFilesInGuestBody)

	if req.MaxResults == 0 {
		req.MaxResults = mostFiles
	}

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		list, remaining, err := ops.List(req.FilePath, req.MatchPattern, req.Index, req.MaxResults)
		body.Res = new(types.ListFilesInGuestResponse)
		body.Res.Returnval.Remaining = int32(remaining)

		for _, file := range list {
			body.Res.Returnval.Files = append(body.Res.Returnval.Files, types.GuestFileInfo{
				Path:       file.Name,
				Type:       kind(file),
				Size:       file.Size,
				Attributes: attributes(file),
			})
		}

		return err
	})
	if fault != nil {
		body.Res, body.Fault_ = nil, simulator.Fault("", fault)
	}

	return body
}

func kind(file vmx.File) string {
	switch {
	case file.Kind&1 != 0:
		return string(types.GuestFileTypeDirectory)
	case file.Kind&2 != 0:
		return string(types.GuestFileTypeSymlink)
	default:
		return string(types.GuestFileTypeFile)
	}
}

func attributes(file vmx.File) *types.GuestPosixFileAttributes {
	attributes := &types.GuestPosixFileAttributes{
		OwnerId: types.NewInt32(file.Owner),
		GroupId: types.NewInt32(file.Group),
		// The bits of its kind are not among them.
		Permissions: file.Mode & 0o7777,
	}
	attributes.AccessTime = types.NewTime(time.Unix(file.Accessed, 0))
	attributes.ModificationTime = types.NewTime(time.Unix(file.Modified, 0))
	attributes.SymlinkTarget = file.Target

	return attributes
}

// InitiateFileTransferFromGuest asks the guest, and gives a ticket for it.
func (m *files) InitiateFileTransferFromGuest(
	ctx *simulator.Context, req *types.InitiateFileTransferFromGuest,
) soap.HasFault {
	body := new(methods.InitiateFileTransferFromGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		file, err := ops.FromGuest(req.GuestFilePath)
		if err != nil {
			return err
		}

		body.Res = new(types.InitiateFileTransferFromGuestResponse)
		body.Res.Returnval = types.FileTransferInformation{
			Attributes: attributes(file),
			Size:       file.Size,
			Url:        m.ticket(ops, req.GuestFilePath),
		}

		return nil
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	}

	return body
}

// InitiateFileTransferToGuest asks the guest, and gives a ticket for it.
func (m *files) InitiateFileTransferToGuest(ctx *simulator.Context, req *types.InitiateFileTransferToGuest) soap.HasFault {
	body := new(methods.InitiateFileTransferToGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		if err := ops.ToGuest(req.GuestFilePath, req.Overwrite); err != nil {
			return err
		}

		body.Res = &types.InitiateFileTransferToGuestResponse{Returnval: m.ticket(ops, req.GuestFilePath)}

		return nil
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	}

	return body
}

// CreateTemporaryFileInGuest asks the guest.
func (m *files) CreateTemporaryFileInGuest(ctx *simulator.Context, req *types.CreateTemporaryFileInGuest) soap.HasFault {
	body := new(methods.CreateTemporaryFileInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		path, err := ops.TemporaryFile(req.Prefix, req.Suffix, req.DirectoryPath)
		body.Res = &types.CreateTemporaryFileInGuestResponse{Returnval: path}

		return err
	})
	if fault != nil {
		body.Res, body.Fault_ = nil, simulator.Fault("", fault)
	}

	return body
}

// CreateTemporaryDirectoryInGuest asks the guest.
func (m *files) CreateTemporaryDirectoryInGuest(
	ctx *simulator.Context, req *types.CreateTemporaryDirectoryInGuest,
) soap.HasFault {
	body := new(methods.CreateTemporaryDirectoryInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		path, err := ops.TemporaryFolder(req.Prefix, req.Suffix, req.DirectoryPath)
		body.Res = &types.CreateTemporaryDirectoryInGuestResponse{Returnval: path}

		return err
	})
	if fault != nil {
		body.Res, body.Fault_ = nil, simulator.Fault("", fault)
	}

	return body
}

// DeleteFileInGuest asks the guest.
func (m *files) DeleteFileInGuest(ctx *simulator.Context, req *types.DeleteFileInGuest) soap.HasFault {
	body := new(methods.DeleteFileInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		return ops.DeleteFile(req.FilePath)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.DeleteFileInGuestResponse)
	}

	return body
}

// DeleteDirectoryInGuest asks the guest.
func (m *files) DeleteDirectoryInGuest(ctx *simulator.Context, req *types.DeleteDirectoryInGuest) soap.HasFault {
	body := new(methods.DeleteDirectoryInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		return ops.DeleteFolder(req.DirectoryPath, req.Recursive)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.DeleteDirectoryInGuestResponse)
	}

	return body
}

// MakeDirectoryInGuest asks the guest.
func (m *files) MakeDirectoryInGuest(ctx *simulator.Context, req *types.MakeDirectoryInGuest) soap.HasFault {
	body := new(methods.MakeDirectoryInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		return ops.MakeFolder(req.DirectoryPath, req.CreateParentDirectories)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.MakeDirectoryInGuestResponse)
	}

	return body
}

// MoveFileInGuest asks the guest.
func (m *files) MoveFileInGuest(ctx *simulator.Context, req *types.MoveFileInGuest) soap.HasFault {
	body := new(methods.MoveFileInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		return ops.MoveFile(req.SrcFilePath, req.DstFilePath, req.Overwrite)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.MoveFileInGuestResponse)
	}

	return body
}

// MoveDirectoryInGuest asks the guest.
func (m *files) MoveDirectoryInGuest(ctx *simulator.Context, req *types.MoveDirectoryInGuest) soap.HasFault {
	body := new(methods.MoveDirectoryInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		return ops.MoveFolder(req.SrcDirectoryPath, req.DstDirectoryPath)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.MoveDirectoryInGuestResponse)
	}

	return body
}

// ChangeFileAttributesInGuest asks the guest; of the attributes only the permissions are handed on.
func (m *files) ChangeFileAttributesInGuest(ctx *simulator.Context, req *types.ChangeFileAttributesInGuest) soap.HasFault {
	body := new(methods.ChangeFileAttributesInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		var permissions int32
		if attributes, ok := req.FileAttributes.(*types.GuestPosixFileAttributes); ok {
			permissions = int32(attributes.Permissions)
		}

		return ops.SetPermissions(req.GuestFilePath, permissions)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.ChangeFileAttributesInGuestResponse)
	}

	return body
}
