package node

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// Kinds are the resource kinds of which the node has one.
func Kinds() []meta.ResourceWithRD {
	return []meta.ResourceWithRD{
		&network.HostnameStatus{},
		&network.AddressStatus{},
		&network.AddressSpec{},
		&network.LinkStatus{},
		&network.NodeAddress{},
		&network.RouteStatus{},
		&network.ResolverStatus{},
		&network.Status{},
		&network.OperatorSpec{}, // sensitive
		&runtime.MachineStatus{},
	}
}

// Populate gives the node what a control plane node with a NIC, a bond of two, a VLAN, a NIC without cable, a
// pod bridge and a virtual IP has.
func (n *Node) Populate(ctx context.Context) error {
	var resources []resource.Resource

	hostname := network.NewHostnameStatus(network.NamespaceName, network.HostnameID)
	*hostname.TypedSpec() = network.HostnameStatusSpec{Hostname: "cp1", Domainname: "example.org"}

	status := runtime.NewMachineStatus()
	status.TypedSpec().Stage = runtime.MachineStageRunning
	status.TypedSpec().Status.Ready = true

	ready := network.NewStatus(network.NamespaceName, network.StatusID)
	*ready.TypedSpec() = network.StatusSpec{AddressReady: true, ConnectivityReady: true, HostnameReady: true, EtcFilesReady: true}

	resources = append(resources, hostname, status, ready)

	for _, link := range []struct {
		name string
		spec network.LinkStatusSpec
	}{
		{"lo", network.LinkStatusSpec{Index: 1, Type: nethelpers.LinkLoopbck, OperationalState: nethelpers.OperStateUnknown, SpeedMegabits: -1}},
		{"eth0", nic(2, "00:50:56:01:02:03", nethelpers.OperStateUp)},
		{"eth1", slave(3, "00:50:56:01:02:04")},
		{"eth2", slave(4, "00:50:56:01:02:05")},
		{"bond0", network.LinkStatusSpec{
			Index: 5, Type: nethelpers.LinkEther, Kind: network.LinkKindBond, HardwareAddr: mac("00:50:56:01:02:04"),
			OperationalState: nethelpers.OperStateUp, LinkState: true, SpeedMegabits: 20000, MTU: 9000,
			BondMaster: network.BondMasterSpec{Mode: nethelpers.BondMode8023AD, MIIMon: 100},
		}},
		{"eth0.100", network.LinkStatusSpec{
			Index: 6, Type: nethelpers.LinkEther, Kind: network.LinkKindVLAN, LinkIndex: 2, HardwareAddr: mac("00:50:56:01:02:03"),
			OperationalState: nethelpers.OperStateUp, LinkState: true, SpeedMegabits: 10000, MTU: 1500,
			VLAN: network.VLANSpec{VID: 100, Protocol: nethelpers.VLANProtocol8021Q},
		}},
		{"eth3", nic(7, "00:50:56:01:02:06", nethelpers.OperStateDown)},
		{"cni0", network.LinkStatusSpec{
			Index: 8, Type: nethelpers.LinkEther, Kind: network.LinkKindBridge, HardwareAddr: mac("0a:58:0a:f4:00:01"),
			OperationalState: nethelpers.OperStateUp, LinkState: true, SpeedMegabits: -1,
		}},
	} {
		status := network.NewLinkStatus(network.NamespaceName, link.name)
		*status.TypedSpec() = link.spec
		resources = append(resources, status)
	}

	for _, address := range []struct {
		link   string
		index  uint32
		prefix string
		scope  nethelpers.Scope
		flags  nethelpers.AddressFlags
	}{
		{"lo", 1, "127.0.0.1/8", nethelpers.ScopeHost, nethelpers.AddressFlags(nethelpers.AddressPermanent)},
		{"eth0", 2, "10.5.0.11/24", nethelpers.ScopeGlobal, nethelpers.AddressFlags(nethelpers.AddressPermanent)},
		{"eth0", 2, "10.5.0.100/32", nethelpers.ScopeGlobal, nethelpers.AddressFlags(nethelpers.AddressPermanent)},
		{"eth0", 2, "fd00:5::11/64", nethelpers.ScopeGlobal, 0},
		{"eth0", 2, "fe80::250:56ff:fe01:203/64", nethelpers.ScopeLink, nethelpers.AddressFlags(nethelpers.AddressPermanent)},
		{"bond0", 5, "10.6.0.11/16", nethelpers.ScopeGlobal, nethelpers.AddressFlags(nethelpers.AddressPermanent)},
		{"eth0.100", 6, "192.168.100.11/24", nethelpers.ScopeGlobal, nethelpers.AddressFlags(nethelpers.AddressDeprecated)},
		{"cni0", 8, "10.244.0.1/24", nethelpers.ScopeGlobal, nethelpers.AddressFlags(nethelpers.AddressPermanent)},
	} {
		prefix := netip.MustParsePrefix(address.prefix)
		status := network.NewAddressStatus(network.NamespaceName, network.AddressID(address.link, prefix))
		*status.TypedSpec() = network.AddressStatusSpec{
			Address: prefix, LinkIndex: address.index, LinkName: address.link, Family: family(prefix), Scope: address.scope, Flags: address.flags,
		}

		if prefix.Addr().Is4() {
			status.TypedSpec().Local = prefix.Addr()
		}

		resources = append(resources, status)
	}

	all := []string{"10.5.0.11/24", "10.5.0.100/32", "10.6.0.11/16", "10.244.0.1/24", "192.168.100.11/24", "fd00:5::11/64"}
	own := []string{"10.5.0.11/24", "10.5.0.100/32", "10.6.0.11/16", "192.168.100.11/24", "fd00:5::11/64"}

	for id, prefixes := range map[string][]string{
		network.NodeAddressDefaultID: {"10.5.0.11/24"},
		network.NodeAddressCurrentID: all,
		network.NodeAddressRoutedID:  all,
		network.FilteredNodeAddressID(network.NodeAddressCurrentID, k8s.NodeAddressFilterNoK8s): own,
		network.FilteredNodeAddressID(network.NodeAddressRoutedID, k8s.NodeAddressFilterNoK8s):  own,
	} {
		address := network.NewNodeAddress(network.NamespaceName, id)
		for _, prefix := range prefixes {
			address.TypedSpec().Addresses = append(address.TypedSpec().Addresses, netip.MustParsePrefix(prefix))
		}

		resources = append(resources, address)
	}

	virtual := netip.MustParsePrefix("10.5.0.100/32")
	wanted := network.NewAddressSpec(network.ConfigNamespaceName, fmt.Sprintf("vip/eth0/%s", network.AddressID("eth0", virtual)))
	*wanted.TypedSpec() = network.AddressSpecSpec{Address: virtual, LinkName: "eth0", Family: nethelpers.FamilyInet4, ConfigLayer: network.ConfigOperator}

	static := netip.MustParsePrefix("10.6.0.11/16")
	configured := network.NewAddressSpec(network.ConfigNamespaceName, network.LayeredID(network.ConfigMachineConfiguration, network.AddressID("bond0", static)))
	*configured.TypedSpec() = network.AddressSpecSpec{Address: static, LinkName: "bond0", Family: nethelpers.FamilyInet4, ConfigLayer: network.ConfigMachineConfiguration}

	for _, resource := range append(resources, wanted, configured) {
		if err := n.State.Create(ctx, resource); err != nil {
			return err
		}
	}

	return nil
}

func nic(index uint32, address string, state nethelpers.OperationalState) network.LinkStatusSpec {
	return network.LinkStatusSpec{
		Index: index, Type: nethelpers.LinkEther, Flags: nethelpers.LinkFlags(nethelpers.LinkUp),
		HardwareAddr: mac(address), PermanentAddr: mac(address), BroadcastAddr: mac("ff:ff:ff:ff:ff:ff"), MTU: 1500, QueueDisc: "mq",
		OperationalState: state, LinkState: state == nethelpers.OperStateUp, SpeedMegabits: 10000, Driver: "vmxnet3", BusPath: "0000:0b:00.0",
		AltNames: []string{"enp11s0"},
	}
}

func slave(index uint32, permanent string) network.LinkStatusSpec {
	spec := nic(index, permanent, nethelpers.OperStateUp)
	spec.HardwareAddr = mac("00:50:56:01:02:04")
	spec.MasterIndex = 5
	spec.SlaveKind = network.LinkKindBond

	return spec
}

func mac(text string) nethelpers.HardwareAddr {
	var address nethelpers.HardwareAddr
	if err := address.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}

	return address
}

func family(prefix netip.Prefix) nethelpers.Family {
	if prefix.Addr().Is4() {
		return nethelpers.FamilyInet4
	}

	return nethelpers.FamilyInet6
}
