package guestoperations_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// node is the UUID of the embedded node.
const node = "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d"

// signed is a token with these claims, as anybody can make one who has the key.
func signed(key ed25519.PrivateKey, claims string) string {
	text := "tvt1." + base64.RawURLEncoding.EncodeToString([]byte(claims))

	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func TestATokenStandsInPlaceOfThePassword(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	encoded := base64.StdEncoding.EncodeToString(public)
	guest := agentWith(t, fmt.Sprintf("guest_operations:\n  enabled: true\n  users:\n    - name: %s\n      public_key: %s\n", user, encoded))
	govc := operate(t, guest)

	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}

	write(t, govc.folder, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))

	made := func(arguments ...string) string {
		command := exec.Command(variable(t, "TALOS_VMTOOLSD"), append([]string{"token", "--key", filepath.Join(govc.folder, "key.pem")}, arguments...)...)

		out, err := command.Output()
		if err != nil {
			t.Fatalf("token %q: %v", arguments, err)
		}

		return strings.TrimSpace(string(out))
	}

	for name, token := range map[string]string{
		"the agent's own":   made("--user", user, "--node", node, "--ttl", "10m"),
		"in capitals":       made("--user", user, "--node", strings.ToUpper(node), "--ttl", "10m"),
		"made elsewhere":    signed(private, claims(user, node, 0, time.Hour)),
		"a minute too soon": signed(private, claims(user, node, time.Minute, time.Hour)),
		"of a whole day":    signed(private, claims(user, node, 0, 24*time.Hour)),
	} {
		if out := govc.as(user, token).does("guest.getenv", "TALOS_NODE_NAME"); out == "" {
			t.Errorf("%s: %q", name, out)
		}
	}

	good := claims(user, node, 0, time.Hour)

	for name, token := range map[string]string{
		"another's key":      signed(foreign, good),
		"another user":       signed(private, claims("other", node, 0, time.Hour)),
		"another node":       signed(private, claims(user, "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5e", 0, time.Hour)),
		"over":               signed(private, claims(user, node, -2*time.Hour, time.Hour)),
		"too soon":           signed(private, claims(user, node, 5*time.Minute, time.Hour)),
		"too long":           signed(private, claims(user, node, 0, 25*time.Hour)),
		"a further claim":    signed(private, strings.Replace(good, "{", `{"admin":true,`, 1)),
		"a claim that lacks": signed(private, strings.Replace(good, `"node"`, `"nodes"`, 1)),
		"no claims":          signed(private, "{}"),
		"changed":            strings.Replace(signed(private, good), "tvt1.e", "tvt1.f", 1),
		"cut":                signed(private, good)[:60],
		"another version":    strings.Replace(signed(private, good), "tvt1", "tvt2", 1),
		"the password":       password,
	} {
		if result := govc.as(user, token).run("guest.getenv"); result.code == 0 || !strings.Contains(result.err, "InvalidGuestLogin") {
			t.Errorf("%s: %+v", name, result)
		}
	}

	if log := control(t, guest, "log"); strings.Contains(log, "tvt1.") {
		t.Errorf("a token is in the log:\n%s", log)
	}
}

// claims of a token that was made so long from now, and is good for so long.
func claims(user, node string, made, good time.Duration) string {
	iat := time.Now().Add(made).Unix()

	return fmt.Sprintf(`{"user":%q,"node":%q,"iat":%d,"exp":%d}`, user, node, iat, iat+int64(good/time.Second))
}
