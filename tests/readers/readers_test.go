package readers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"k8s.io/klog/v2"
)

func TestMain(m *testing.M) {
	// The provider takes two families from a configuration only with this.
	os.Setenv("ENABLE_ALPHA_DUAL_STACK", "true")
	silence()
	os.Exit(m.Run())
}

// Every judge finds what is wanted, at every moment of every layout that SEEN holds. The moments stand outside, so that
// one vCenter serves all judges.
func TestEveryReaderFindsWhatIsWanted(t *testing.T) {
	folder := os.Getenv("SEEN")
	if folder == "" {
		t.Skip("SEEN does not name the folder with what was seen; `make readers` fills it")
	}
	all, err := ReadAll(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("there is nothing in %s", folder)
	}

	right, wrong, absent := map[string]int{}, map[string]int{}, map[string]int{}
	for _, seen := range all {
		t.Run(seen.Name(), func(t *testing.T) {
			machine := start(t, seen)
			for _, judge := range Judges {
				switch err := judge.Judge(t.Context(), machine); {
				case err == nil:
					right[judge.Name]++
				case errors.Is(err, ErrNotToBeHad):
					absent[judge.Name]++
				default:
					wrong[judge.Name]++
					t.Errorf("%s: %s: %v", seen.Name(), judge.Name, err)
				}
			}
		})
	}

	for _, judge := range Judges {
		state := "ok"
		if wrong[judge.Name] > 0 || right[judge.Name] == 0 {
			state = "FAIL"
			t.Fail()
		}
		fmt.Printf("%-4s  %-20s %3d right, %3d wrong, %3d not to be had\n",
			state, judge.Name, right[judge.Name], wrong[judge.Name], absent[judge.Name])
	}
}

// silence keeps the provider's own log, which is long and says at level ERROR what is none.
func silence() {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	for _, setting := range []string{"logtostderr=false", "stderrthreshold=FATAL"} {
		name, value, _ := strings.Cut(setting, "=")
		if err := flags.Set(name, value); err != nil {
			panic(err)
		}
	}
	klog.SetOutput(io.Discard)
}

func start(t *testing.T, seen *Seen) *Machine {
	t.Helper()
	machine, err := NewMachine(context.Background(), seen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(machine.Close)

	return machine
}
