package protos

import (
	"fmt"

	"golang.org/x/mod/semver"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// since lists what Talos has only from a minor on, later than the oldest that we support. Older nodes never
// send these and skip them when we do.
var since = map[protoreflect.FullName]string{

	"cosi.resource.Event.bookmark":                                         "v1.9",
	"cosi.resource.WatchOptions.start_from_bookmark":                       "v1.9",
	"talos.resource.definitions.enums.NethelpersAddressSortAlgorithm":      "v1.9",
	"talos.resource.definitions.network.LinkStatusSpec.alias":              "v1.9",
	"talos.resource.definitions.network.LinkStatusSpec.alt_names":          "v1.9",
	"talos.resource.definitions.network.NodeAddressSpec.sort_algorithm":    "v1.9",
	"talos.resource.definitions.network.ResolverStatusSpec.search_domains": "v1.9",
	"cosi.resource.NOOP":                                                     "v1.10",
	"cosi.resource.WatchOptions.bootstrap_bookmark":                          "v1.10",
	"talos.resource.definitions.network.AddressSpecSpec.priority":            "v1.10",
	"talos.resource.definitions.network.AddressStatusSpec.priority":          "v1.10",
	"talos.resource.definitions.runtime.SecurityStateSpec":                   "v1.5",
	"talos.resource.definitions.k8s.NodeStatusSpec":                          "v1.5",
	"talos.resource.definitions.block.DiskSpec":                              "v1.8",
	"talos.resource.definitions.block.VolumeStatusSpec":                      "v1.8",
	"talos.resource.definitions.enums.BlockFilesystemType":                   "v1.8",
	"talos.resource.definitions.enums.BlockVolumeType":                       "v1.8",
	"talos.resource.definitions.block.DiskSpec.secondary_disks":              "v1.9",
	"talos.resource.definitions.enums.FILESYSTEM_TYPE_EXT4":                  "v1.9",
	"talos.resource.definitions.enums.FILESYSTEM_TYPE_ISO9660":               "v1.9",
	"talos.resource.definitions.enums.FILESYSTEM_TYPE_VFAT":                  "v1.9",
	"talos.resource.definitions.network.ResolverSpecSpec.search_domains":     "v1.9",
	"talos.resource.definitions.block.MountRequestSpec":                      "v1.10",
	"talos.resource.definitions.block.MountStatusSpec":                       "v1.10",
	"talos.resource.definitions.block.VolumeStatusSpec.type":                 "v1.10",
	"talos.resource.definitions.enums.VOLUME_TYPE_DIRECTORY":                 "v1.10",
	"talos.resource.definitions.enums.VOLUME_TYPE_OVERLAY":                   "v1.10",
	"talos.resource.definitions.enums.VOLUME_TYPE_SYMLINK":                   "v1.10",
	"talos.resource.definitions.enums.FILESYSTEM_TYPE_SWAP":                  "v1.11",
	"talos.resource.definitions.block.MountStatusSpec.detached":              "v1.12",
	"talos.resource.definitions.enums.FILESYSTEM_TYPE_VIRTIOFS":              "v1.13",
	"talos.resource.definitions.enums.VOLUME_TYPE_EXTERNAL":                  "v1.13",
	"talos.resource.definitions.enums.FILESYSTEM_TYPE_BTRFS":                 "v1.14",
	"talos.resource.definitions.network.NameServerSpec":                      "v1.14",
	"talos.resource.definitions.network.ResolverSpecSpec.name_servers":       "v1.14",
	"talos.resource.definitions.network.ResolverStatusSpec.name_servers":     "v1.14",
	"machine.ServiceStateEvent.STARTING":                                     "v1.7",
	"machine.ProcessInfo.label":                                              "v1.8",
	"machine.EtcdMemberStatus.storage_version":                               "v1.11",
	"talos.resource.definitions.runtime.SBOMItemSpec":                        "v1.11",
	"machine.RebootRequest.FORCE":                                            "v1.12",
	"talos.resource.definitions.hardware.SystemInformationSpec.bios_version": "v1.14",
	"talos.resource.definitions.network.RouteNextHop":                        "v1.14",
	"talos.resource.definitions.network.RouteStatusSpec.next_hops":           "v1.14",
}

// Judge turns verdicts on the descriptors of one Talos version, such as v1.4.0, into disagreements. What is
// listed as newer has to be absent before its minor and present from it on, so that the list cannot go stale.
func Judge(verdicts []Verdict, version string) []error {
	var errs []error

	for _, verdict := range verdicts {
		minor, late := since[verdict.Name]
		late = late && semver.Compare(semver.MajorMinor(version), minor) < 0

		switch {
		case verdict.Absent && late:
		case verdict.Problem != "":
			errs = append(errs, fmt.Errorf("%s: %s", verdict.Name, verdict.Problem))
		case late:
			errs = append(errs, fmt.Errorf("%s: listed as new in %s, but Talos %s has it", verdict.Name, minor, version))
		}
	}

	return errs
}
