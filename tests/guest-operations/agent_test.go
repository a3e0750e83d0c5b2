package guestoperations_test

import (
	"fmt"
	"testing"

	guestoperations "talos-vmtoolsd/guest-operations"
	"talos-vmtoolsd/guest-operations/vmx"
)

// Users of our agent besides [user]: one who may reach the Talos API, and one who may hardly do anything.
const (
	relay  = "relay"
	narrow = "narrow"
)

// configuration is our agent's, with these users.
func configuration() string {
	return fmt.Sprintf(`guest_operations:
  enabled: true
  users:
    - name: %s
      password_hash: %s
    - name: %s
      password_hash: %s
      allow: [programs, relay]
    - name: %s
      password_hash: %s
      allow: [environment]
`, user, passwordHash, relay, passwordHash, narrow, passwordHash)
}

// agent is ours, with guest operations.
func agent(t *testing.T) *guestoperations.Bridge {
	t.Helper()

	return agentWith(t, configuration())
}

// agentWith is ours with this configuration.
func agentWith(t *testing.T, configuration string) *guestoperations.Bridge {
	t.Helper()

	folder := t.TempDir()
	write(t, folder, "config.yaml", configuration)

	return start(t, "agent", variable(t, "TALOS_VMTOOLSD"), folder)
}

// reconfigure gives an agent another configuration, and waits for what it makes of it.
func reconfigure(t *testing.T, guest *guestoperations.Bridge, configuration string) string {
	t.Helper()
	write(t, guest.Folder(), "config.yaml", configuration)

	return control(t, guest, "reload")
}

// as is who asks by this name.
func as(guest vmx.Guest, name string) vmx.Operator {
	return vmx.Operator{Guest: guest, Credential: vmx.NamePassword(name, password)}
}

func control(t *testing.T, guest *guestoperations.Bridge, line string) string {
	t.Helper()

	said, err := guest.Control(line)
	if err != nil {
		t.Fatal(err)
	}

	return said
}
