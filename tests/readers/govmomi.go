package readers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// mostNICs is how many a host takes.
const mostNICs = 16

// patience is for waits that never end. What is there is found at the first look.
const patience = 2 * time.Second

var errWaits = errors.New("waits for ever")

// PrimaryIP is guest.ipAddress: govmomi's WaitForIP, which is `govc vm.ip`. Ansible's facts `ipv4` and `ipv6` are the
// same property without waiting [community.vmware: plugins/module_utils/vmware.py, gather_vm_facts].
func PrimaryIP(ctx context.Context, machine *Machine) error {
	if !machine.First.IsValid() {
		// Before there is another one the host shows a link-local address, as it does with open-vm-tools.
		if got := machine.VCenter.IPAddress; got.IsValid() && !got.IsLinkLocalUnicast() {
			return fmt.Errorf("takes %s where there is none", got)
		}

		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	got, err := machine.VM.WaitForIP(ctx)
	if err != nil {
		return waited(ctx, err)
	}

	return same(got, machine.First)
}

// NetIP is govmomi's WaitForNetIP: `govc vm.ip -a`, or `-n` with the NICs that have addresses, as it waits until all
// that are asked for have one.
func NetIP(ctx context.Context, machine *Machine) error {
	var asked []string
	for _, device := range machine.Devices {
		if !device.Bare {
			asked = append(asked, device.MAC)
		}
	}
	if len(machine.Wanted.Addresses()) == 0 || len(asked) == 0 || len(asked) > mostNICs {
		return ErrNotToBeHad
	}

	found, err := machine.netIP(ctx, asked...)
	if err != nil {
		return err
	}

	var all []netip.Addr
	for _, texts := range found {
		for _, text := range texts {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return err
			}
			if why := machine.Foreign(addr); why != "" {
				return fmt.Errorf("takes %s, %s", addr, why)
			}
			all = append(all, addr)
		}
	}
	for _, wanted := range machine.Wanted.Addresses() {
		if !slices.Contains(all, wanted) {
			return fmt.Errorf("%s is missing in %v", wanted, all)
		}
	}

	return nil
}

func (machine *Machine) netIP(ctx context.Context, macs ...string) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	found, err := machine.VM.WaitForNetIP(ctx, false, macs...)
	if err != nil {
		return nil, waited(ctx, err)
	}

	return found, nil
}

// Packer waits for the addresses of all NICs and takes the first that is in `ip_wait_address`, the NICs in no order.
// Its operator names the network of the wanted address; without one it is all of IPv4. The rule is in our words over
// govmomi's function, as the last version that is published as a module (v1.4.2) does not compile with a govmomi of
// today [hashicorp/packer-plugin-vsphere: builder/vsphere/driver/vm.go, WaitForIP;
// builder/vsphere/common/step_wait_for_ip.go].
func Packer(ctx context.Context, machine *Machine) error {
	isBare := func(device Device) bool { return device.Bare }
	if len(machine.Wanted.Addresses()) == 0 || slices.ContainsFunc(machine.Devices, isBare) {
		return ErrNotToBeHad
	}

	found, err := machine.netIP(ctx)
	if err != nil {
		return err
	}

	for _, wanted := range machine.Wanted.Addresses() {
		_, network, err := net.ParseCIDR(machine.Prefix(wanted).Masked().String())
		if err != nil {
			return err
		}
		if err := everyOrder(found, network, wanted); err != nil {
			return fmt.Errorf("ip_wait_address %s: %w", network, err)
		}
	}
	if len(machine.Devices) == 1 && machine.Wanted.IPv4.IsValid() {
		_, all, _ := net.ParseCIDR("0.0.0.0/0")

		return everyOrder(found, all, machine.Wanted.IPv4)
	}

	return nil
}

// everyOrder looks at the first address of the network on each NIC, since any NIC may come first.
func everyOrder(found map[string][]string, network *net.IPNet, wanted netip.Addr) error {
	isThere := false
	for mac, ips := range found {
		index := slices.IndexFunc(ips, func(ip string) bool { return network.Contains(net.ParseIP(ip)) })
		if index < 0 {
			continue
		}
		if err := same(ips[index], wanted); err != nil {
			return fmt.Errorf("%s: %w", mac, err)
		}
		isThere = true
	}
	if !isThere {
		return fmt.Errorf("finds no address, and %s is wanted", wanted)
	}

	return nil
}

func same(got string, wanted netip.Addr) error {
	addr, err := netip.ParseAddr(got)
	if err != nil || addr != wanted {
		return fmt.Errorf("takes %q, and %s is wanted", strings.TrimSpace(got), wanted)
	}

	return nil
}

// waited is what an error means: time that has run out is a wait without end.
func waited(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errWaits
	}

	return err
}
