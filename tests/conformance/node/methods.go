package node

import (
	"regexp"
	"strings"
)

// Methods are those that our source lists as relayed, in its order. Its own tests, which name others, are not looked at.
func Methods(source string) []string {
	source, _, _ = strings.Cut(source, "#[cfg(test)]")

	var methods []string

	for _, found := range regexp.MustCompile(`"(/[A-Za-z0-9.]+/[A-Za-z0-9]+)"`).FindAllStringSubmatch(source, -1) {
		methods = append(methods, found[1])
	}

	return methods
}

// Unrelayed are the methods that os:reader stands beside in machined's table and that we do not relay, with the reason.
var Unrelayed = map[string]string{
	"/cluster.ClusterService/HealthCheck":        "connects to nodes that the caller names",
	"/machine.ImageService/Verify":               "connects to a registry that the caller names",
	"/machine.LVMService/LogicalVolumeRemove":    "writes, for os:reader in maintenance mode",
	"/machine.LVMService/PhysicalVolumeRemove":   "writes, for os:reader in maintenance mode",
	"/machine.LVMService/VolumeGroupRemove":      "writes, for os:reader in maintenance mode",
	"/machine.MDService/Destroy":                 "writes, for os:reader in maintenance mode",
	"/machine.MachineService/ApplyConfiguration": "writes, for os:reader in maintenance mode",
	"/storage.StorageService/BlockDeviceWipe":    "writes, for os:reader in maintenance mode",
	"/time.TimeService/TimeCheck":                "connects to a server that the caller names",
}
