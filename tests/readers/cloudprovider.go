package readers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	cloudprovider "k8s.io/cloud-provider"
	_ "k8s.io/cloud-provider-vsphere/pkg/cloudprovider/vsphere" // registers "vsphere"
	cloudproviderapi "k8s.io/cloud-provider/api"
	cloudnode "k8s.io/cloud-provider/controllers/node"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
)

// CloudProvider is the vSphere cloud provider under Kubernetes' node controller: it has to find the virtual machine by
// the node's name, to give the node the wanted addresses, and to take the taint `uninitialized` from it.
func CloudProvider(ctx context.Context, machine *Machine) error {
	families, absent := machine.families()
	for _, family := range absent {
		if err := machine.isAbsent(ctx, family); err != nil {
			return err
		}
	}
	if len(families) == 0 {
		return nil
	}

	metadata, err := machine.metadata(ctx, families...)
	if err != nil {
		return fmt.Errorf("the node %s: %w", machine.Wanted.Name, err)
	}
	if err := machine.areWanted(metadata.NodeAddresses); err != nil {
		return err
	}

	node, err := machine.initialised(ctx, families...)
	if err != nil {
		return fmt.Errorf("the node %s stays uninitialized: %w", machine.Wanted.Name, err)
	}

	return machine.areWanted(node.Status.Addresses)
}

// isAbsent looks at a family of which no address is wanted: somebody who asks for it may get what the node has besides,
// such as a floating address, and nothing that is not the node's.
func (machine *Machine) isAbsent(ctx context.Context, family string) error {
	metadata, err := machine.metadata(ctx, family)
	if err != nil {
		return nil
	}

	for _, address := range metadata.NodeAddresses {
		addr, err := netip.ParseAddr(address.Address)
		if err != nil {
			continue // the name
		}
		if why := machine.Foreign(addr); why != "" {
			return fmt.Errorf("takes %s, %s", addr, why)
		}
	}

	return nil
}

// families are those with a wanted address, that of the first one first, and the others.
func (seen *Seen) families() (wanted, absent []string) {
	for _, family := range []struct {
		name string
		addr netip.Addr
	}{{"ipv4", seen.Wanted.IPv4}, {"ipv6", seen.Wanted.IPv6}} {
		switch {
		case !family.addr.IsValid():
			absent = append(absent, family.name)
		case family.addr == seen.First:
			wanted = slices.Insert(wanted, 0, family.name)
		default:
			wanted = append(wanted, family.name)
		}
	}

	return wanted, absent
}

// metadata is what the provider knows of the node.
func (machine *Machine) metadata(ctx context.Context, families ...string) (*cloudprovider.InstanceMetadata, error) {
	cloud, err := machine.cloud(families...)
	if err != nil {
		return nil, err
	}
	instances, _ := cloud.InstancesV2()

	return instances.InstanceMetadata(ctx, machine.node())
}

// cloud is a provider that has seen no node yet: it keeps those that it has found.
func (machine *Machine) cloud(families ...string) (cloudprovider.Interface, error) {
	user := machine.Server.URL.User
	password, _ := user.Password()
	config := fmt.Sprintf("vcenter:\n"+
		"  simulated: {server: %s, port: %s, user: %s, password: %s, insecureFlag: true, datacenters: [DC0], ipFamily: [%s]}\n",
		machine.Server.URL.Hostname(), machine.Server.URL.Port(), user.Username(), password, strings.Join(families, ", "))

	cloud, err := cloudprovider.GetCloudProvider("vsphere", strings.NewReader(config))
	if err != nil {
		return nil, err
	}
	cloud.Initialize(emptyCluster, nil)

	return cloud, nil
}

// areWanted looks at a node's addresses: one of each kind and family, and the name.
func (seen *Seen) areWanted(addresses []v1.NodeAddress) error {
	var wanted []v1.NodeAddress
	for _, addr := range seen.Wanted.Addresses() {
		wanted = append(wanted,
			v1.NodeAddress{Type: v1.NodeInternalIP, Address: addr.String()},
			v1.NodeAddress{Type: v1.NodeExternalIP, Address: addr.String()})
	}
	wanted = append(wanted, v1.NodeAddress{Type: v1.NodeHostName, Address: seen.Wanted.Name})

	for _, address := range addresses {
		if !slices.Contains(wanted, address) {
			return fmt.Errorf("takes %s %s, and %v are wanted", address.Type, address.Address, seen.Wanted.Addresses())
		}
	}
	for _, address := range wanted {
		if !slices.Contains(addresses, address) {
			return fmt.Errorf("has no %s %s", address.Type, address.Address)
		}
	}

	return nil
}

// node is the node as the kubelet registers it.
func (seen *Seen) node() *v1.Node {
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: seen.Wanted.Name}}
	node.Spec.Taints = []v1.Taint{{
		Key: cloudproviderapi.TaintExternalCloudProvider, Value: "true", Effect: v1.TaintEffectNoSchedule,
	}}
	if len(seen.Kubelet) > 0 {
		var texts []string
		for _, addr := range seen.Kubelet {
			texts = append(texts, addr.String())
		}
		node.Annotations = map[string]string{cloudproviderapi.AnnotationAlphaProvidedIPAddr: strings.Join(texts, ",")}
	}

	return node
}

// initialised is the node once Kubernetes' node controller has done with it.
func (machine *Machine) initialised(ctx context.Context, families ...string) (*v1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	cloud, err := machine.cloud(families...)
	if err != nil {
		return nil, err
	}

	client := fake.NewSimpleClientset(machine.node())
	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := cloudnode.NewCloudNodeController(factory.Core().V1().Nodes(), client, cloud, time.Hour, 1, 1)
	if err != nil {
		return nil, err
	}

	changes, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	defer changes.Stop()

	for len(complaints) > 0 {
		<-complaints
	}
	factory.Start(ctx.Done())
	go controller.RunWithContext(ctx, metrics)

	for {
		select {
		case change := <-changes.ResultChan():
			node, isNode := change.Object.(*v1.Node)
			if isNode && len(node.Spec.Taints) == 0 && len(node.Status.Addresses) > 0 {
				return node, nil
			}
		case err := <-complaints:
			return nil, err
		case <-ctx.Done():
			return nil, errors.New("the node controller does not come to an end")
		}
	}
}

var metrics = controllersmetrics.NewControllerManagerMetrics("readers")

// complaints are what the controller would log.
var complaints = make(chan error, 64)

func init() {
	runtime.ErrorHandlers = []runtime.ErrorHandler{
		func(_ context.Context, err error, _ string, _ ...any) {
			select {
			case complaints <- err:
			default:
			}
		},
	}
}

// emptyCluster is the API server that the provider asks for secrets; it has none, and no node.
var emptyCluster = cluster{fake.NewSimpleClientset()}

type cluster struct{ client kubernetes.Interface }

func (cluster cluster) Client(string) (kubernetes.Interface, error) { return cluster.client, nil }
func (cluster cluster) ClientOrDie(string) kubernetes.Interface     { return cluster.client }
func (cluster cluster) Config(string) (*rest.Config, error)         { return &rest.Config{}, nil }
func (cluster cluster) ConfigOrDie(string) *rest.Config             { return &rest.Config{} }
