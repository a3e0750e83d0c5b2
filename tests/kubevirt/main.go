// Prints what KubeVirt learns of a libvirt domain from the guest agent in it, as JSON: its own poller, store and libvirt
// client ask, as in a virt-launcher. Or freezes and thaws the guest by them.
//
//	kubevirt URI DOMAIN
//	kubevirt URI DOMAIN freeze|unfreeze
//
// The load is not awaited: libvirt asks for it since 11.2. Freeze and unfreeze take the steps of its storage manager,
// which itself needs libnbd.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	agentpoller "kubevirt.io/kubevirt/pkg/virt-launcher/virtwrap/agent-poller"
	"kubevirt.io/kubevirt/pkg/virt-launcher/virtwrap/api"
	"kubevirt.io/kubevirt/pkg/virt-launcher/virtwrap/cli"
)

const (
	// For all first answers.
	soon = 30 * time.Second
	// Only the first round of questions counts.
	never = 24 * time.Hour
)

type learned struct {
	Agent       agentpoller.AgentInfo
	System      api.DomainSysInfo
	Interfaces  []api.InterfaceStatus
	Filesystems []api.Filesystem
	Freeze      *api.FSFreeze
	Users       []api.User
}

func of(store *agentpoller.AsyncAgentStore) learned {
	return learned{
		Agent:       store.GetGA(),
		System:      store.GetSysInfo(),
		Interfaces:  store.GetInterfaceStatus(),
		Filesystems: store.GetFS(-1),
		Freeze:      store.GetFSFreezeStatus(),
		Users:       store.GetUsers(-1),
	}
}

// Of each question the first answer is there. Timezones come last of those in one call. Without users the store has nil,
// and before that an empty list.
func (it learned) isAll() bool {
	return it.Agent.Version != "" && it.System.Timezone.Zone != "" && len(it.Filesystems) > 0 &&
		it.Freeze != nil && (it.Users == nil || len(it.Users) > 0)
}

// Nothing is done where the guest says that it is so already.
func change(connection cli.Connection, domain, wanted string, how func(cli.VirDomain) error) error {
	answer, err := connection.QemuAgentCommand(`{"execute":"guest-fsfreeze-status"}`, domain)
	if err != nil {
		return err
	}
	status, err := agentpoller.ParseFSFreezeStatus(answer)
	if err != nil || status.Status == wanted {
		return err
	}
	found, err := connection.LookupDomainByName(domain)
	if err != nil {
		return err
	}
	defer found.Free()
	return how(found)
}

func run(uri, domain, command string) error {
	connection, err := cli.NewConnection(uri, "", "", never)
	if err != nil {
		return err
	}
	switch command {
	case "freeze":
		return change(connection, domain, api.FSFrozen, func(it cli.VirDomain) error { return it.FSFreeze(nil, 0) })
	case "unfreeze":
		return change(connection, domain, api.FSThawed, func(it cli.VirDomain) error { return it.FSThaw(nil, 0) })
	}
	store := agentpoller.NewAsyncAgentStore()
	poller := agentpoller.CreatePoller(connection, "", domain, &store, never, never, never, never, never)
	poller.Start()
	defer poller.Stop()
	deadline := time.Now().Add(soon)
	for !of(&store).isAll() {
		if time.Now().After(deadline) {
			return fmt.Errorf("an answer is missing: %+v", of(&store))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return json.NewEncoder(os.Stdout).Encode(of(&store))
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: kubevirt URI DOMAIN [freeze|unfreeze]")
		os.Exit(2)
	}
	command := append(os.Args, "")[3]
	if err := run(os.Args[1], os.Args[2], command); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
