package services

// Official is the form in which siderolabs/extensions runs the Go daemon; it has to run ours unchanged.
const Official = `
name: talos-vmtoolsd
container:
  entrypoint: ./talos-vmtoolsd
  args: [vmtoolsd, --use-machined]
  mounts:
    - {source: /system/run/machined/machine.sock, destination: /system/run/machined/machine.sock, type: bind, options: [rshared, rbind, rw]}
depends:
  - path: /system/run/machined/machine.sock
  - network: [addresses]
restart: always
`

// OfficialQemu is the form in which it runs qemu-ga; ours takes that place by its name, without an argument.
const OfficialQemu = `
name: qemu-guest-agent
container:
  entrypoint: ./qemu-ga
  mounts:
    - {source: /run, destination: /var/run, type: bind, options: [rshared, rbind, rw]}
    - {source: /dev, destination: /dev, type: bind, options: [rshared, rbind, rw]}
    - {source: /system/run/machined/machine.sock, destination: /system/run/machined/machine.sock, type: bind, options: [rshared, rbind, ro]}
    - {source: /sbin/init, destination: /sbin/shutdown, type: bind, options: [bind, ro]}
depends:
  - path: /system/run/machined/machine.sock
  - path: /dev/virtio-ports/org.qemu.guest_agent.0
restart: always
`
