package readers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Terraform is the rule of the vSphere provider: the default wait (`wait_for_guest_net_timeout`) ends when an address
// is in one network with the gateway of its family's default route, and that address becomes `default_ip_address`,
// IPv4 before IPv6. It keeps the last default route of several, and takes the NICs in the order of the virtual machine.
// In our words, as the packages are full of Terraform's own types [terraform-provider-vsphere v2.13.0:
// vsphere/internal/helper/virtualmachine/virtual_machine_helper.go, WaitForGuestNet;
// vsphere/virtual_machine_guest_structure.go, buildAndSelectGuestIPs].
func Terraform(ctx context.Context, machine *Machine) error {
	var vm mo.VirtualMachine
	collector := property.DefaultCollector(machine.VM.Client())
	if err := collector.RetrieveOne(ctx, machine.VM.Reference(), []string{"guest"}, &vm); err != nil {
		return err
	}
	guest := vm.Guest

	reached := machine.reached()
	got := defaultIP(guest)
	if len(machine.Wanted.Addresses()) == 0 {
		if got != "" && !net.ParseIP(got).IsLinkLocalUnicast() {
			return fmt.Errorf("takes %s where there is none", got)
		}

		return nil
	}
	if reached.IsValid() {
		if !waitEnds(guest) {
			return errWaits
		}

		return same(got, reached)
	}

	// Without a gateway beside an address the wait cannot end, and who does not wait gets the first address of the
	// virtual machine's first NIC: any IPv4 address before IPv6, in whatever order they are reported.
	if len(machine.Devices) == 1 && (machine.Wanted.IPv4.IsValid() || !isIPv4(got)) {
		return same(got, machine.Wanted.Addresses()[0])
	}
	if addr, err := netip.ParseAddr(got); err == nil {
		if why := machine.Foreign(addr); why != "" {
			return fmt.Errorf("takes %s, %s", addr, why)
		}
	}

	return ErrNotToBeHad
}

// reached is the wanted address that Terraform can see to have a gateway.
func (seen *Seen) reached() netip.Addr {
	for _, wanted := range seen.Wanted.Addresses() {
		network := seen.Prefix(wanted).Masked()
		if slices.ContainsFunc(seen.Gateways, network.Contains) {
			return wanted
		}
	}

	return netip.Addr{}
}

func isIPv4(text string) bool {
	return net.ParseIP(text).To4() != nil
}

// gateways are those of the last default route of each family.
func gateways(guest *types.GuestInfo) (ipv4, ipv6 net.IP) {
	for _, stack := range guest.IpStack {
		if stack.IpRouteConfig == nil {
			continue
		}
		for _, route := range stack.IpRouteConfig.IpRoute {
			switch route.Network {
			case "0.0.0.0":
				ipv4 = net.ParseIP(route.Gateway.IpAddress)
			case "::":
				ipv6 = net.ParseIP(route.Gateway.IpAddress)
			}
		}
	}

	return ipv4, ipv6
}

// isBeside reports whether a gateway is in the network of an address.
func isBeside(address types.NetIpConfigInfoIpAddress, gateway net.IP) bool {
	ip := net.ParseIP(address.IpAddress)
	bits := 8 * net.IPv6len
	if ip.To4() != nil {
		bits = 8 * net.IPv4len
	}
	mask := net.CIDRMask(int(address.PrefixLength), bits)

	return gateway != nil && ip.Mask(mask).Equal(gateway.Mask(mask))
}

func waitEnds(guest *types.GuestInfo) bool {
	ipv4, ipv6 := gateways(guest)
	for _, nic := range guest.Net {
		for _, address := range nic.IpConfig.IpAddress {
			ip := net.ParseIP(address.IpAddress)
			if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
				continue
			}
			if isBeside(address, ipv4) || isBeside(address, ipv6) {
				return true
			}
		}
	}

	return false
}

func defaultIP(guest *types.GuestInfo) string {
	gateway4, gateway6 := gateways(guest)
	nics := slices.Clone(guest.Net)
	slices.SortStableFunc(nics, func(a, b types.GuestNicInfo) int {
		return int(a.DeviceConfigId - b.DeviceConfigId)
	})

	var ipv4, ipv6 string
	var all []string
	for _, nic := range nics {
		var later []string
		for _, address := range nic.IpConfig.IpAddress {
			if net.ParseIP(address.IpAddress).To4() != nil {
				all = append(all, address.IpAddress)
				if ipv4 == "" && isBeside(address, gateway4) {
					ipv4 = address.IpAddress
				}
			} else {
				later = append(later, address.IpAddress)
				if ipv6 == "" && isBeside(address, gateway6) {
					ipv6 = address.IpAddress
				}
			}
		}
		all = append(all, later...)
	}

	for _, candidate := range append([]string{ipv4, ipv6}, append(all, guest.IpAddress)...) {
		if candidate != "" {
			return candidate
		}
	}

	return ""
}
