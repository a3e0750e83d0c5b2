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

// logins is the GuestAuthManager.
type logins struct {
	mo.GuestAuthManager
	*VCenter
}

// Reference is that of the manager.
func (m *logins) Reference() types.ManagedObjectReference { return m.Self }

// ValidateCredentialsInGuest asks the guest.
func (m *logins) ValidateCredentialsInGuest(ctx *simulator.Context, req *types.ValidateCredentialsInGuest) soap.HasFault {
	body := new(methods.ValidateCredentialsInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, vmx.Operator.Validate)
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.ValidateCredentialsInGuestResponse)
	}

	return body
}

// processes is the GuestProcessManager.
type processes struct {
	mo.GuestProcessManager
	*VCenter
}

// Reference is that of the manager.
func (m *processes) Reference() types.ManagedObjectReference { return m.Self }

// StartProgramInGuest asks the guest.
func (m *processes) StartProgramInGuest(ctx *simulator.Context, req *types.StartProgramInGuest) soap.HasFault {
	body := new(methods.StartProgramInGuestBody)
	spec := req.Spec.GetGuestProgramSpec()

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		pid, err := ops.Start(spec.ProgramPath, spec.Arguments, spec.WorkingDirectory, spec.EnvVariables...)
		body.Res = &types.StartProgramInGuestResponse{Returnval: pid}

		return err
	})
	if fault != nil {
		body.Res, body.Fault_ = nil, simulator.Fault("", fault)
	}

	return body
}

// ListProcessesInGuest asks the guest.
func (m *processes) ListProcessesInGuest(ctx *simulator.Context, req *types.ListProcessesInGuest) soap.HasFault {
	body := new(methods.ListProcessesInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		list, err := ops.Processes(req.Pids...)
		body.Res = new(types.ListProcessesInGuestResponse)

		for _, process := range list {
			info := types.GuestProcessInfo{
				Name:      process.Command,
				Pid:       process.PID,
				Owner:     process.User,
				CmdLine:   process.Line,
				StartTime: time.Unix(process.Start, 0),
			}

			if process.End != 0 {
				info.EndTime = types.NewTime(time.Unix(process.End, 0))
				info.ExitCode = process.Code
			}

			body.Res.Returnval = append(body.Res.Returnval, info)
		}

		return err
	})
	if fault != nil {
		body.Res, body.Fault_ = nil, simulator.Fault("", fault)
	}

	return body
}

// TerminateProcessInGuest asks the guest.
func (m *processes) TerminateProcessInGuest(ctx *simulator.Context, req *types.TerminateProcessInGuest) soap.HasFault {
	body := new(methods.TerminateProcessInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		return ops.Terminate(req.Pid)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
	} else {
		body.Res = new(types.TerminateProcessInGuestResponse)
	}

	return body
}

// ReadEnvironmentVariableInGuest asks the guest.
func (m *processes) ReadEnvironmentVariableInGuest(
	ctx *simulator.Context, req *types.ReadEnvironmentVariableInGuest,
) soap.HasFault {
	body := new(methods.ReadEnvironmentVariableInGuestBody)

	fault := m.run(ctx, req.Vm, req.Auth, func(ops vmx.Operator) error {
		variables, err := ops.Environment(req.Names...)
		body.Res = &types.ReadEnvironmentVariableInGuestResponse{Returnval: variables}

		return err
	})
	if fault != nil {
		body.Res, body.Fault_ = nil, simulator.Fault("", fault)
	}

	return body
}
