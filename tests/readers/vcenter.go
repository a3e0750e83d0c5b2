package readers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// firstDevice is the key that vCenter gives to a virtual machine's first NIC.
const firstDevice = 4000

// Machine is a simulated vCenter whose one virtual machine shows what the agent has reported.
type Machine struct {
	*Seen
	Server *simulator.Server
	VM     *object.VirtualMachine

	model *simulator.Model
}

// NewMachine starts a vCenter; Close ends it.
func NewMachine(ctx context.Context, seen *Seen) (*Machine, error) {
	model := simulator.VPX()
	model.Host, model.ClusterHost, model.Machine = 0, 1, 1
	if err := model.Create(); err != nil {
		return nil, err
	}

	vm := model.Map().Any("VirtualMachine").(*simulator.VirtualMachine)
	vm.Config.Hardware.Device = append(withoutNICs(vm.Config.Hardware.Device), seen.devices()...)
	vm.Guest = seen.guest()

	model.Service.TLS = &tls.Config{}
	machine := &Machine{Seen: seen, Server: model.Service.NewServer(), model: model}

	client, err := govmomi.NewClient(ctx, machine.Server.URL, true)
	if err != nil {
		machine.Close()

		return nil, err
	}
	machine.VM = object.NewVirtualMachine(client.Client, vm.Self)

	return machine, nil
}

// Close ends it.
func (machine *Machine) Close() {
	machine.Server.Close()
	machine.model.Remove()
}

func withoutNICs(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
	return object.VirtualDeviceList(devices).Select(func(device types.BaseVirtualDevice) bool {
		_, isNIC := device.(types.BaseVirtualEthernetCard)

		return !isNIC
	})
}

// devices are the virtual machine's NICs.
func (seen *Seen) devices() []types.BaseVirtualDevice {
	var all []types.BaseVirtualDevice
	for index, device := range seen.Devices {
		card := &types.VirtualVmxnet3{}
		card.Key = int32(firstDevice + index)
		card.DeviceInfo = &types.Description{Label: fmt.Sprintf("Network adapter %d", index+1)}
		card.MacAddress = device.MAC
		card.AddressType = string(types.VirtualEthernetCardMacTypeManual)
		all = append(all, card)
	}

	return all
}

// guest is GuestInfo as vCenter makes it of the agent's messages. A NIC that the virtual machine does not have gets
// the device -1.
func (seen *Seen) guest() *types.GuestInfo {
	guest := &types.GuestInfo{
		ToolsRunningStatus: string(types.VirtualMachineToolsRunningStatusGuestToolsRunning),
		HostName:           seen.VCenter.HostName,
		IpAddress:          text(seen.VCenter.IPAddress),
	}

	info := seen.VCenter.NICs
	if info == nil {
		return guest
	}

	for _, nic := range info.NICs {
		guest.Net = append(guest.Net, seen.guestNIC(nic))
	}

	stack := types.GuestStackInfo{IpRouteConfig: &types.NetIpRouteConfigInfo{}}
	for _, route := range info.Routes {
		stack.IpRouteConfig.IpRoute = append(stack.IpRouteConfig.IpRoute, types.NetIpRouteConfigInfoIpRoute{
			Network:      text(route.Destination),
			PrefixLength: route.Prefix,
			Gateway: types.NetIpRouteConfigInfoGateway{
				IpAddress: text(route.NextHop),
				Device:    fmt.Sprint(route.NIC),
			},
		})
	}
	if dns := info.DNS; dns != nil {
		stack.DnsConfig = &types.NetDnsConfigInfo{
			HostName: dns.Host, DomainName: dns.Domain, IpAddress: dns.Servers, SearchDomain: dns.Suffixes,
		}
	}
	guest.IpStack = []types.GuestStackInfo{stack}

	return guest
}

func (seen *Seen) guestNIC(nic NIC) types.GuestNicInfo {
	guest := types.GuestNicInfo{
		Network:        "VM Network",
		MacAddress:     nic.MAC,
		Connected:      true,
		DeviceConfigId: -1,
		IpConfig:       &types.NetIpConfigInfo{},
	}
	for index, device := range seen.Devices {
		if strings.EqualFold(device.MAC, nic.MAC) {
			guest.DeviceConfigId = int32(firstDevice + index)
		}
	}
	for _, ip := range nic.IPs {
		guest.IpAddress = append(guest.IpAddress, text(ip.Address))
		guest.IpConfig.IpAddress = append(guest.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
			IpAddress: text(ip.Address), PrefixLength: ip.Prefix,
		})
	}

	return guest
}

// text is the address, or nothing where there is none.
func text(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}

	return addr.String()
}
