package release

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/container"
	"github.com/siderolabs/talos/pkg/machinery/config/types/security"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
)

// page has the document that operators copy, and the identity that signs.
const page = "docs/verify.md"

// identity is what the page's commands expect in the certificate.
var identity = regexp.MustCompile(`--certificate-oidc-issuer=(\S+) --certificate-identity=([^\s")]+)`)

// metal is the mode in which a document stands without the rest of a machine config.
type metal struct{}

func (metal) String() string        { return "metal" }
func (metal) RequiresInstall() bool { return false }
func (metal) InContainer() bool     { return false }

// loaded reads a document as a node does, and takes nothing that Talos would warn of.
func loaded(t *testing.T, text string) config.Provider {
	t.Helper()

	provider, err := configloader.NewFromBytes([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}

	warnings, err := verification(t, provider).Validate(metal{}, validation.WithLocal())
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v %v\n%s", err, warnings, text)
	}

	return provider
}

// verification is the one document of its kind.
func verification(t *testing.T, provider config.Provider) *security.ImageVerificationConfigV1Alpha1 {
	t.Helper()

	documents := provider.Documents()
	if len(documents) != 1 {
		t.Fatalf("%d documents, not one", len(documents))
	}

	document, is := documents[0].(*security.ImageVerificationConfigV1Alpha1)
	if !is {
		t.Fatalf("a document of kind %s", documents[0].Kind())
	}

	return document
}

// ofPage gives the page's document as it stands there.
func ofPage(t *testing.T) config.Provider {
	t.Helper()

	for _, rest := range strings.Split(ofRepository(t, page), "\n```yaml\n")[1:] {
		if block, _, _ := strings.Cut(rest, "\n```"); strings.Contains(block, "kind: "+security.ImageVerificationConfigKind) {
			return loaded(t, block+"\n")
		}
	}

	t.Fatalf("%s has no %s", page, security.ImageVerificationConfigKind)

	return nil
}

// withKey is the page's document for an image that is elsewhere and signed with a key: the place in its patterns and
// the verifiers are others.
func withKey(t *testing.T, image, key string) config.Provider {
	t.Helper()

	return edited(t, image, func(rule *security.ImageVerificationRuleV1Alpha1) {
		rule.RulePublicKeyVerifier = &security.ImagePublicKeyVerifierV1Alpha1{ConfigCertificate: key}
	})
}

// thatDenies is the page's document for an image that is elsewhere, and that it refuses.
func thatDenies(t *testing.T, image string) config.Provider {
	t.Helper()

	return edited(t, image, func(rule *security.ImageVerificationRuleV1Alpha1) { rule.RuleDeny = new(true) })
}

func edited(t *testing.T, image string, edit func(*security.ImageVerificationRuleV1Alpha1)) config.Provider {
	t.Helper()

	// What is read is read-only.
	document := verification(t, ofPage(t).Clone())
	from, to := registryOfDocuments(t)+"/", path.Dir(image)+"/"

	for at := range document.ConfigRules {
		rule := &document.ConfigRules[at]
		if !strings.HasPrefix(rule.RuleImagePattern, from) {
			t.Fatalf("the pattern %s is not of %s", rule.RuleImagePattern, from)
		}

		rule.RuleImagePattern = to + strings.TrimPrefix(rule.RuleImagePattern, from)
		rule.RuleKeylessVerifier = nil
		edit(rule)
	}

	whole, err := container.New(document)
	if err != nil {
		t.Fatal(err)
	}

	text, err := whole.Bytes()
	if err != nil {
		t.Fatal(err)
	}

	return loaded(t, string(text))
}
