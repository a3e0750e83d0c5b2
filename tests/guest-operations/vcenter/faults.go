package vcenter

import (
	"errors"
	"fmt"

	"github.com/vmware/govmomi/toolbox/vix"
	"github.com/vmware/govmomi/vim25/types"
)

// fault is what a client sees of an error of VIX.
func fault(err error) types.BaseMethodFault {
	var code vix.Error
	if !errors.As(err, &code) {
		// The VMX has not got an answer, or none that it can read.
		return &types.SystemError{Reason: err.Error()}
	}

	switch code {
	case 3, 22:
		return new(types.InvalidArgument)
	case 4:
		return new(types.FileNotFound)
	case 6, 3003, 3048:
		return new(types.OperationNotSupportedByGuest)
	case 7:
		return new(types.FileFault)
	case 8:
		return new(types.NoDiskSpace)
	case 12:
		return new(types.FileAlreadyExists)
	case 13:
		return new(types.CannotAccessFile)
	case 3015:
		return new(types.GuestPermissionDenied)
	case 3016:
		return new(types.GuestOperationsUnavailable)
	case 3025:
		return new(types.GuestComponentsOutOfDate)
	case 35, 3050:
		return new(types.InvalidGuestLogin)
	case 20001:
		return new(types.NotAFile)
	case 20002:
		return new(types.NotADirectory)
	case 20003:
		return new(types.GuestProcessNotFound)
	case 20004:
		return new(types.FileNameTooLong)
	case 20005:
		return new(types.OperationDisabledByGuest)
	case 20006:
		return new(types.DirectoryNotEmpty)
	default:
		return &types.SystemError{Reason: fmt.Sprintf("vix error codes = (%d, 0)", int(code))}
	}
}
