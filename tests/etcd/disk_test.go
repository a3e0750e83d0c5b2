package etcd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FIFREEZE and FITHAW of <linux/fs.h>.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// Major number of loop devices.
const loopMajor = 7

// A file system on a loop device that this test has made; the only kind that is ever frozen here.
type disk struct {
	folder   string
	root     *os.File
	watchdog *watchdog
}

// The file systems that can be made here; in short only the one that is Talos' own at /var, where there is mkfs.xfs.
func kinds() []string {
	_, err := exec.LookPath("mkfs.xfs")

	switch {
	case err != nil:
		return []string{"ext4"}
	case testing.Short():
		return []string{"xfs"}
	default:
		return []string{"ext4", "xfs"}
	}
}

// Everything lies in memory, so that no disk of this machine slows etcd down.
func memory(t *testing.T) string {
	folder := t.TempDir()
	must(t, unix.Mount("tmpfs", folder, "tmpfs", 0, "size=2g"))
	t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })

	return folder
}

func newDisk(t *testing.T, memory, kind string) *disk {
	image := filepath.Join(memory, kind+".img")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 700<<20))

	force := map[string]string{"ext4": "-F", "xfs": "-f"}[kind]
	must(t, exec.Command("mkfs."+kind, "-q", force, image).Run())

	device := loop(t, image)
	folder := filepath.Join(memory, kind)
	must(t, os.Mkdir(folder, 0o700))
	must(t, unix.Mount(device, folder, kind, 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })

	root, err := os.Open(folder)
	must(t, err)
	must(t, onLoop(root))

	d := &disk{folder: folder, root: root, watchdog: startWatchdog(t, root)}
	t.Cleanup(func() {
		d.watchdog.end()
		_ = root.Close()
	})

	return d
}

// A loop device on the image, which goes away with its last user.
func loop(t *testing.T, image string) string {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	must(t, err)

	defer control.Close()

	file, err := os.OpenFile(image, os.O_RDWR, 0)
	must(t, err)

	defer file.Close()

	// Another process may take the same free one.
	for range 20 {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		must(t, err)

		path := fmt.Sprintf("/dev/loop%d", number)
		device, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)

		config := &unix.LoopConfig{Fd: uint32(file.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR

		err = unix.IoctlLoopConfigure(int(device.Fd()), config)
		if errors.Is(err, unix.EBUSY) {
			_ = device.Close()

			continue
		}

		must(t, err)
		t.Cleanup(func() { _ = device.Close() })

		return path
	}

	t.Fatal("no loop device is free")

	return ""
}

// The one guard of this machine: what is no loop device is not frozen.
func onLoop(root *os.File) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &stat); err != nil {
		return err
	}

	if unix.Major(stat.Dev) != loopMajor {
		return fmt.Errorf("%s is not on a loop device", root.Name())
	}

	return nil
}

func ioctl(root *os.File, request uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), request, 0); errno != 0 {
		return errno
	}

	return nil
}

// As the freezer does it: what is dirty goes to the disk first. Returns when the freeze begins for writers.
func (d *disk) freeze() (time.Time, error) {
	if err := onLoop(d.root); err != nil {
		return time.Time{}, err
	}

	if err := unix.Syncfs(int(d.root.Fd())); err != nil {
		return time.Time{}, err
	}

	d.watchdog.frozen()

	begun := time.Now()

	return begun, ioctl(d.root, fiFreeze)
}

func (d *disk) thaw() error {
	err := ioctl(d.root, fiThaw)
	d.watchdog.thawed()

	return err
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
