// Package vcenter is govmomi's simulated vCenter with guest operations of its own: they end in a guest under the
// simulated VMX instead of a container.
//
//	SOAP ─► logins, processes, files ─► VIX commands ─► TCLO of the guest
//	HTTPS ─► transfers ───────────────► HGFS packets ─┘
package vcenter

import (
	"crypto/tls"
	"encoding/base64"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"talos-vmtoolsd/guest-operations/vmx"
)

// VM is the name of the virtual machine that has a guest. The others have none.
const VM = "DC0_H0_VM0"

// The properties by which a guest says that it has guest operations.
const (
	firstOperation = 4540
	lastOperation  = 4557
)

// A VCenter with one virtual machine that has a guest.
type VCenter struct {
	*simulator.Server

	model *simulator.Model
	guest vmx.Guest
	mutex sync.Mutex
	// tickets are the transfers that may be made.
	tickets map[string]vmx.Operator
}

// New starts one.
func New(guest vmx.Guest) (*VCenter, error) {
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		return nil, err
	}

	v := &VCenter{model: model, guest: guest, tickets: map[string]vmx.Operator{}}
	v.replaceManagers()

	model.Service.TLS = new(tls.Config)
	model.Service.HandleFunc(transferPath, v.transfer)
	v.Server = model.Service.NewServer()

	return v, nil
}

// Close ends it; the guest goes on.
func (v *VCenter) Close() {
	v.Server.Close()
	v.model.Remove()
}

// replaceManagers puts ours where the simulator has its own, or none.
func (v *VCenter) replaceManagers() {
	registry := v.model.Map()
	operations := registry.Get(*vpx.ServiceContent.GuestOperationsManager).(*simulator.GuestOperationsManager)
	operations.AuthManager = &types.ManagedObjectReference{Type: "GuestAuthManager", Value: "guestOperationsAuthManager"}

	registry.Put(&logins{mo.GuestAuthManager{Self: *operations.AuthManager}, v})
	registry.Put(&processes{mo.GuestProcessManager{Self: *operations.ProcessManager}, v})
	registry.Put(&files{mo.GuestFileManager{Self: *operations.FileManager}, v})
}

// operator is who asks the guest of a virtual machine, if it can be asked at all.
func (v *VCenter) operator(
	ctx *simulator.Context, vm types.ManagedObjectReference, auth types.BaseGuestAuthentication,
) (vmx.Operator, types.BaseMethodFault) {
	machine, ok := ctx.Map.Get(vm).(*simulator.VirtualMachine)
	if !ok {
		return vmx.Operator{}, &types.ManagedObjectNotFound{Obj: vm}
	}

	if machine.Name != VM {
		return vmx.Operator{}, new(types.GuestOperationsUnavailable)
	}

	// The guest says first what it has.
	properties, err := vmx.ToolsState(v.guest)
	if err != nil {
		return vmx.Operator{}, fault(err)
	}

	for id := int32(firstOperation); id <= lastOperation; id++ {
		if _, ok := properties[id]; !ok {
			return vmx.Operator{}, new(types.GuestComponentsOutOfDate)
		}
	}

	operator := vmx.Operator{Guest: v.guest}

	switch auth := auth.(type) {
	case *types.NamePasswordAuthentication:
		if auth.Username == "" {
			return vmx.Operator{}, new(types.InvalidArgument)
		}

		operator.Credential = vmx.NamePassword(auth.Username, auth.Password)
	case *types.SAMLTokenAuthentication:
		token := base64.StdEncoding.EncodeToString([]byte(auth.Token + "\x00" + auth.Username + "\x00"))
		operator.Credential = vmx.SAMLToken(auth.Token, auth.Username, token)
	}

	return operator, nil
}

// run asks the guest, and gives the fault if there is one.
func (v *VCenter) run(
	ctx *simulator.Context, vm types.ManagedObjectReference, auth types.BaseGuestAuthentication, ask func(vmx.Operator) error,
) types.BaseMethodFault {
	operator, refused := v.operator(ctx, vm, auth)
	if refused != nil {
		return refused
	}

	if err := ask(operator); err != nil {
		return fault(err)
	}

	return nil
}
