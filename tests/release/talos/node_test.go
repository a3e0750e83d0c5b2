package release

import (
	"context"
	"fmt"
	"testing"

	"github.com/cosi-project/runtime/pkg/controller/runtime"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"go.uber.org/zap"

	securityctrl "github.com/siderolabs/talos/internal/app/machined/pkg/controllers/security"
	"github.com/siderolabs/talos/internal/pkg/containers/image"
	"github.com/siderolabs/talos/internal/pkg/containers/image/verify"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	configres "github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/cri"
	"github.com/siderolabs/talos/pkg/machinery/resources/security"
)

// node is as much of machined as verifies images: its state, and the controller that makes rules of the config.
type node struct{ state state.State }

// startNode starts a node with this config, and waits until it has the rules of it.
func startNode(t *testing.T, provider config.Provider) node {
	t.Helper()

	node := node{state: state.WrapCore(namespaced.NewState(inmem.Build))}

	controllers, err := runtime.NewRuntime(node.state, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}

	if err = controllers.RegisterController(&securityctrl.ImageVerificationConfigController{}); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)

	go func() { ended <- controllers.Run(ctx) }()

	t.Cleanup(func() {
		cancel()

		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	if err = node.state.Create(ctx, configres.NewMachineConfig(provider)); err != nil {
		t.Fatal(err)
	}

	// They are made in order.
	last := len(provider.ImageVerificationConfig().Rules()) - 1
	node.rule(t, last)

	return node
}

// rule waits for the rule that the controller makes of the rule at this place.
func (n node) rule(t *testing.T, at int) *security.ImageVerificationRuleSpec {
	t.Helper()

	made, err := n.state.WatchFor(deadline(t), security.NewImageVerificationRule(fmt.Sprintf("%04d", at)).Metadata(),
		state.WithEventTypes(state.Created, state.Updated))
	if err != nil {
		t.Fatal(err)
	}

	rule, is := made.(*security.ImageVerificationRule)
	if !is {
		t.Fatalf("a rule of type %T", made)
	}

	return rule.TypedSpec()
}

// verify judges an image as the node does before it pulls it.
func (n node) verify(t *testing.T, name string) (*machine.ImageServiceVerifyResponse, error) {
	t.Helper()

	registries := registries(t)

	return verify.ImageSignature(deadline(t), zap.NewNop(), n.state, image.NewResolver(registries),
		image.NewTagFetcher(registries), name)
}

// registries is what a RegistryMirrorConfig for the registry on loopback becomes: it speaks plain HTTP.
func registries(t *testing.T) cri.Registries {
	t.Helper()

	host := variable(t, "RELEASE_REGISTRY")

	return &cri.RegistriesConfigSpec{RegistryMirrors: map[string]*cri.RegistryMirrorConfig{host: {
		MirrorEndpoints:    []cri.RegistryEndpointConfig{{EndpointEndpoint: "http://" + host}},
		MirrorSkipFallback: true,
	}}}
}
