package node

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

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
		&network.ResolverSpec{},
		&network.Status{},
		&network.OperatorSpec{}, // sensitive
		&runtime.MachineStatus{},
		&k8s.NodeIP{},
	}
}

// Populate gives the node what Talos has on the node of a layout.
func (n *Node) Populate(ctx context.Context, layout *Layout) error {
	n.layout = layout

	resources := []resource.Resource{ready()}
	resources = append(resources, machineOf(layout)...)
	resources = append(resources, linksOf(layout)...)

	addresses, err := addressesOf(layout)
	if err != nil {
		return err
	}

	routes, err := routesOf(layout)
	if err != nil {
		return err
	}

	for _, resource := range append(append(resources, addresses...), routes...) {
		if err := n.State.Create(ctx, resource); err != nil {
			return fmt.Errorf("%s: %w", resource.Metadata().ID(), err)
		}
	}

	return nil
}

func ready() resource.Resource {
	status := network.NewStatus(network.NamespaceName, network.StatusID)
	*status.TypedSpec() = network.StatusSpec{AddressReady: true, ConnectivityReady: true, HostnameReady: true, EtcFilesReady: true}

	return status
}

func machineOf(layout *Layout) []resource.Resource {
	hostname := network.NewHostnameStatus(network.NamespaceName, network.HostnameID)
	*hostname.TypedSpec() = network.HostnameStatusSpec{Hostname: layout.HostName.Host, Domainname: layout.HostName.Domain}

	status := runtime.NewMachineStatus()
	status.TypedSpec().Stage = runtime.MachineStageRunning
	status.TypedSpec().Status.Ready = true

	if layout.Stage == "maintenance" {
		status.TypedSpec().Stage = runtime.MachineStageMaintenance
	}

	resources := []resource.Resource{hostname, status}

	if layout.Resolver != nil {
		resolver := network.NewResolverStatus(network.NamespaceName, network.ResolverID)
		*resolver.TypedSpec() = network.ResolverStatusSpec{DNSServers: layout.Resolver.Servers, SearchDomains: layout.Resolver.Search}
		resources = append(resources, resolver)
	}

	if layout.KubeletNodeIPs != nil {
		ips := k8s.NewNodeIP(k8s.NamespaceName, k8s.KubeletID)
		ips.TypedSpec().Addresses = layout.KubeletNodeIPs
		resources = append(resources, ips)
	}

	for _, lease := range layout.Leases {
		resolver := network.NewResolverSpec(network.ConfigNamespaceName, lease.Client+"/"+network.ResolverID)
		*resolver.TypedSpec() = network.ResolverSpecSpec{DNSServers: lease.Servers, ConfigLayer: network.ConfigOperator}
		resources = append(resources, resolver)
	}

	return resources
}

// linksOf has each link with what such a link has besides: more than the agent needs, as in life.
func linksOf(layout *Layout) []resource.Resource {
	var resources []resource.Resource

	for _, link := range layout.Links {
		spec := network.LinkStatusSpec{
			Index: link.Index, Type: nethelpers.LinkEther, Flags: nethelpers.LinkFlags(nethelpers.LinkUp), Kind: link.Kind,
			HardwareAddr: mac(link.MAC), PermanentAddr: mac(link.PermanentMAC), MTU: 1500, OperationalState: nethelpers.OperStateUp, LinkState: true,
			SpeedMegabits: -1, MasterIndex: layout.link(link.Master).Index, SlaveKind: layout.link(link.Master).Kind,
		}

		switch parent := link.Parent.(type) {
		case int:
			spec.LinkIndex = uint32(parent)
		case string:
			spec.LinkIndex = layout.link(parent).Index
		}

		switch {
		case link.Type == "loopback":
			spec.Type, spec.OperationalState = nethelpers.LinkLoopbck, nethelpers.OperStateUnknown
		case link.Type == "none":
			spec.Type, spec.OperationalState = nethelpers.LinkNone, nethelpers.OperStateUnknown
		case link.physical():
			spec.BroadcastAddr, spec.QueueDisc, spec.SpeedMegabits = mac("ff:ff:ff:ff:ff:ff"), "mq", 10000
			spec.Driver, spec.BusPath, spec.AltNames = link.Driver, "0000:0b:00.0", []string{"enp11s0"}

			if link.PermanentMAC == "" {
				spec.PermanentAddr = spec.HardwareAddr
			}
		case link.Kind == network.LinkKindBond:
			spec.SpeedMegabits, spec.MTU = 20000, 9000
			spec.BondMaster = network.BondMasterSpec{Mode: nethelpers.BondMode8023AD, MIIMon: 100}
		case link.Kind == network.LinkKindVLAN:
			spec.SpeedMegabits = 10000
			spec.VLAN = network.VLANSpec{VID: 100, Protocol: nethelpers.VLANProtocol8021Q}
		}

		if !link.up() {
			spec.Flags, spec.OperationalState, spec.LinkState = 0, nethelpers.OperStateDown, false
		}

		status := network.NewLinkStatus(network.NamespaceName, link.Name)
		*status.TypedSpec() = spec
		resources = append(resources, status)
	}

	return resources
}

// flags of addresses, by the kernel's names and numbers.
var flags = map[string]nethelpers.AddressFlag{
	"temporary":  nethelpers.AddressTemporary,
	"dadfailed":  nethelpers.AddressDADFailed,
	"deprecated": nethelpers.AddressDeprecated,
	"tentative":  nethelpers.AddressTentative,
	"permanent":  nethelpers.AddressPermanent,
	"managed":    nethelpers.AddressManagementTemp,
}

// addressesOf has the addresses, who wanted them, and Talos' lists of them.
func addressesOf(layout *Layout) ([]resource.Resource, error) {
	var resources []resource.Resource

	for _, address := range layout.Addresses {
		status := network.NewAddressStatus(network.NamespaceName, network.AddressID(address.Link, address.Address))
		*status.TypedSpec() = network.AddressStatusSpec{
			Address: address.Address, LinkIndex: layout.link(address.Link).Index, LinkName: address.Link, Family: family(address.Address.Addr()),
		}

		scope, err := nethelpers.ScopeString(address.scope())
		if err != nil {
			return nil, err
		}

		names := []string{"permanent"}
		if address.Flags != nil {
			names = *address.Flags
		}

		for _, name := range names {
			flag, known := flags[name]
			if !known {
				return nil, fmt.Errorf("%s: unknown flag %s", address.Address, name)
			}

			status.TypedSpec().Flags |= nethelpers.AddressFlags(flag)
		}

		status.TypedSpec().Scope = scope
		if address.Address.Addr().Is4() {
			status.TypedSpec().Local = address.Address.Addr()
		}

		resources = append(resources, status)

		if address.Spec != "" {
			wanted := network.NewAddressSpec(network.ConfigNamespaceName, address.Spec+"/"+network.AddressID(address.Link, address.Address))
			*wanted.TypedSpec() = network.AddressSpecSpec{
				Address: address.Address, LinkName: address.Link, Family: family(address.Address.Addr()), ConfigLayer: network.ConfigMachineConfiguration,
			}

			if strings.Contains(address.Spec, "/") {
				wanted.TypedSpec().ConfigLayer = network.ConfigOperator
			}

			resources = append(resources, wanted)
		}
	}

	for id, prefixes := range layout.nodeAddresses() {
		list := network.NewNodeAddress(network.NamespaceName, id)
		list.TypedSpec().Addresses = prefixes
		resources = append(resources, list)
	}

	return resources, nil
}

// routesOf has the routes that are set, and those that the kernel makes with the addresses.
func routesOf(layout *Layout) ([]resource.Resource, error) {
	var resources []resource.Resource

	seen := map[string]bool{}
	add := func(spec network.RouteStatusSpec) {
		id := fmt.Sprintf("%s/%s/%s/%s/%s/%d", spec.Table, spec.OutLinkName, spec.Family, spec.Gateway, spec.Destination, spec.Priority)
		if seen[id] {
			return
		}

		seen[id] = true

		route := network.NewRouteStatus(network.NamespaceName, id)
		*route.TypedSpec() = spec
		resources = append(resources, route)
	}

	for _, route := range layout.Routes {
		spec := network.RouteStatusSpec{
			Family: nethelpers.FamilyInet4, Destination: route.Destination, Gateway: route.Gateway, OutLinkName: route.Link,
			Table: nethelpers.TableMain, Priority: route.Priority, Type: nethelpers.TypeUnicast, Protocol: nethelpers.ProtocolStatic,
		}

		if route.Family == "inet6" || route.Destination.Addr().Is6() {
			spec.Family = nethelpers.FamilyInet6
		}

		if route.Table != 0 {
			spec.Table = nethelpers.RoutingTable(route.Table)
		}

		if route.Type != "" {
			kind, err := nethelpers.RouteTypeString(route.Type)
			if err != nil {
				return nil, err
			}

			spec.Type = kind
		}

		for _, hop := range route.NextHops {
			spec.NextHops = append(spec.NextHops, network.RouteNextHop{Gateway: hop.Gateway, OutLinkName: hop.Link, Weight: 1})
		}

		add(spec)
	}

	for _, address := range layout.Addresses {
		if address.Address.IsSingleIP() {
			continue
		}

		spec := network.RouteStatusSpec{
			Family: family(address.Address.Addr()), Destination: address.Address.Masked(), OutLinkName: address.Link,
			Table: nethelpers.TableMain, Type: nethelpers.TypeUnicast, Protocol: nethelpers.ProtocolKernel,
		}
		if address.Address.Addr().Is6() {
			spec.Priority = 256
		}

		add(spec)
	}

	return resources, nil
}

// mac is the hardware address of a text, and none of an empty one.
func mac(text string) nethelpers.HardwareAddr {
	if text == "" {
		return nil
	}

	var address nethelpers.HardwareAddr
	if err := address.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}

	return address
}

func family(ip netip.Addr) nethelpers.Family {
	if ip.Is4() {
		return nethelpers.FamilyInet4
	}

	return nethelpers.FamilyInet6
}
