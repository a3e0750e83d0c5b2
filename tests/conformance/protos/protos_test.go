package protos_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"talos-vmtoolsd/conformance/protos"
	"talos-vmtoolsd/conformance/repo"
)

// Each message, enum and service of ours agrees with the generated code of the Talos version under judgment.
func TestProtosAgreeWithTalos(t *testing.T) {
	version := repo.Version(t, repo.Machinery)
	verdicts := compare(t, os.DirFS(filepath.Join(repo.Root(t), "proto")))

	for _, err := range protos.Judge(verdicts, version) {
		t.Error(err)
	}

	var late int

	for _, verdict := range verdicts {
		if verdict.Absent {
			late++
		}
	}

	t.Logf("Talos %s: %d messages, fields, enums, values, services and methods judged, %d of them newer than it", version, len(verdicts), late)

	// Of what Talos does not have yet only the outermost name is judged, so old versions have the fewest: 649.
	if len(verdicts) < 649 {
		t.Errorf("only %d elements were found, that cannot be all", len(verdicts))
	}
}

// Each way to be wrong is noticed, and as what it is.
func TestAWrongProtoIsNoticed(t *testing.T) {
	version := repo.Version(t, repo.Machinery)

	for _, mutation := range []struct {
		name, file, from, to, want string
	}{
		{"field number", "machine/machine.proto", `bool force = 1;`, `bool force = 2;`, "machine.ShutdownRequest.force: number: ours 2, Talos' 1"},
		{"field number of another", "machine/machine.proto", `string tag = 1;`, `string tagg = 1;`, "machine.VersionInfo.tagg: Talos has no field of this name, and its number 1 is tag"},
		{"scalar type", "machine/machine.proto", `uint64 size = 2;`, `int64 size = 2;`, "machine.MountStat.size: type: ours int64, Talos' uint64"},
		{"encoding of an integer", "resource/definitions/network/network.proto", `uint32 mtu = 7;`, `fixed32 mtu = 7;`, "LinkStatusSpec.mtu: type: ours fixed32, Talos' uint32"},
		{"message type", "machine/machine.proto", `VersionInfo version = 2;`, `PlatformInfo version = 2;`, "machine.Version.version: type: ours machine.PlatformInfo, Talos' machine.VersionInfo"},
		{"bytes as string", "common/common.proto", `bytes ip = 1;`, `string ip = 1;`, "type: ours string, Talos' bytes"},
		{"label", "machine/machine.proto", `repeated MountStat stats = 2;`, `MountStat stats = 2;`, "machine.Mounts.stats: label: ours optional, Talos' repeated"},
		{"presence", "v1alpha1/state.proto", `optional string id = 3;`, `string id = 3;`, "cosi.resource.WatchRequest.id: presence: ours false, Talos' true"},
		{"map", "v1alpha1/resource.proto", `map<string, string> labels = 10;`, `map<string, bytes> labels = 10;`, "cosi.resource.Metadata.labels: type: ours map<string, bytes>, Talos' map<string, string>"},
		{"unknown field", "machine/machine.proto", `bool force = 1;`, `bool force = 1; bool gently = 99;`, "machine.ShutdownRequest.gently: Talos has no field of this name"},
		{"enum value", "v1alpha1/state.proto", `DESTROYED = 2;`, `DESTROYED = 9;`, "cosi.resource.DESTROYED: number: ours 9, Talos' 2"},
		{"unknown enum value", "machine/machine.proto", `POWERCYCLE = 1;`, `POWERCYCLE = 1; POWEROFF = 77;`, "machine.RebootRequest.POWEROFF: Talos has no value of this name"},
		{"unknown message", "machine/machine.proto", `message ShutdownRequest {`, `message ShutdownNow {} message ShutdownRequest {`, "machine.ShutdownNow: Talos has nothing of this name"},
		{"unknown method", "machine/machine.proto", `rpc Shutdown(`, `rpc Poweroff(`, "machine.MachineService.Poweroff: Talos has no method of this name"},
		{"request type", "machine/machine.proto", `rpc Shutdown(ShutdownRequest)`, `rpc Shutdown(RebootRequest)`, "machine.MachineService.Shutdown: request: ours machine.RebootRequest, Talos' machine.ShutdownRequest"},
		{"streaming", "v1alpha1/state.proto", `rpc Watch(WatchRequest) returns (stream WatchResponse)`, `rpc Watch(WatchRequest) returns (WatchResponse)`, "cosi.resource.State.Watch: server streaming: ours false, Talos' true"},
		{"number of a process's field", "machine/machine.proto", `string args = 10;`, `string args = 12;`, "machine.ProcessInfo.args: number: ours 12, Talos' 10"},
		{"stream of files", "machine/machine.proto", `rpc List(ListRequest) returns (stream FileInfo)`, `rpc List(ListRequest) returns (FileInfo)`, "machine.MachineService.List: server streaming: ours false, Talos' true"},
		{"sensitivity", "v1alpha1/meta.proto", `Sensitivity sensitivity = 7;`, `Sensitivity sensitivity = 8;`, "cosi.resource.meta.ResourceDefinitionSpec.sensitivity: number: ours 8, Talos' 7"},
		{"package", "v1alpha1/state.proto", `service State {`, `service States {`, "cosi.resource.States: Talos has nothing of this name"},
	} {
		t.Run(mutation.name, func(t *testing.T) {
			folder := copyOf(t, os.DirFS(filepath.Join(repo.Root(t), "proto")))
			// Blanks in the folder's files may differ from those here.
			pattern := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(mutation.from), " ", `\s+`))

			if !pattern.Match(folder[mutation.file].Data) {
				t.Fatalf("%s has no %q to change", mutation.file, mutation.from)
			}

			folder[mutation.file].Data = pattern.ReplaceAllLiteral(folder[mutation.file].Data, []byte(mutation.to))

			var found bool

			errs := protos.Judge(compare(t, folder), version)
			for _, err := range errs {
				found = found || strings.Contains(err.Error(), mutation.want)
			}

			if !found {
				t.Errorf("not noticed: %q; only %v", mutation.want, errs)
			}
		})
	}
}

// A list of newer fields that says too much or too little is noticed as well.
func TestTheListOfNewerFieldsIsHeldHonest(t *testing.T) {
	const name = "talos.resource.definitions.network.LinkStatusSpec.alias"

	absent := protos.Verdict{Name: name, Absent: true, Problem: "Talos has no field of this name"}
	present := protos.Verdict{Name: name}

	for _, test := range []struct {
		verdict protos.Verdict
		version string
		errors  int
	}{
		{absent, "v1.8.0", 0},
		{absent, "v1.9.0", 1},
		{present, "v1.8.0", 1},
		{present, "v1.9.0", 0},
		{present, "v1.10.0", 0},
	} {
		if errs := protos.Judge([]protos.Verdict{test.verdict}, test.version); len(errs) != test.errors {
			t.Errorf("%+v at %s: %v", test.verdict, test.version, errs)
		}
	}
}

func compare(t *testing.T, folder fs.FS) []protos.Verdict {
	t.Helper()

	files, err := protos.Compile(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}

	return protos.Compare(files, protos.Talos())
}

func copyOf(t *testing.T, folder fs.FS) fstest.MapFS {
	t.Helper()

	files := fstest.MapFS{}

	if err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		data, err := fs.ReadFile(folder, path)
		files[path] = &fstest.MapFile{Data: data}

		return err
	}); err != nil {
		t.Fatal(err)
	}

	return files
}
