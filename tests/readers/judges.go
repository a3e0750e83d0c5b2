package readers

import (
	"context"
	"errors"
)

// ErrNotToBeHad is the verdict where a reader finds nothing whatever an agent reports.
var ErrNotToBeHad = errors.New("not to be had from this node")

// Judge is somebody who reads vCenter. Its verdict is nil where it finds what is wanted.
type Judge struct {
	Name  string
	Judge func(context.Context, *Machine) error
}

// Judges are all of them.
var Judges = []Judge{
	{"cloud provider", CloudProvider},
	{"govc vm.ip, Ansible", PrimaryIP},
	{"govc vm.ip -a", NetIP},
	{"Packer", Packer},
	{"Cluster API", ClusterAPI},
	{"Terraform", Terraform},
}
