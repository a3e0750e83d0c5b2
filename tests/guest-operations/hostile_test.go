package guestoperations_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vmware/govmomi/toolbox/hgfs"
	"github.com/vmware/govmomi/toolbox/vix"

	"talos-vmtoolsd/guest-operations/vmx"
)

// The errors of a message that is none.
const (
	badHeader = vix.Error(vix.InvalidMessageHeader)
	badBody   = vix.Error(vix.InvalidMessageBody)
)

// recorder keeps the requests that an operator makes, and answers none.
type recorder struct {
	requests [][]byte
}

func (r *recorder) Request(request []byte) ([]byte, error) {
	r.requests = append(r.requests, request)

	return nil, errors.New("recorded")
}

// wellFormed is one request for each operation with credentials, without what frames it for TCLO.
func wellFormed() map[string][]byte {
	messages := map[string][]byte{}

	recorder := &recorder{}
	ops := vmx.Operator{Guest: recorder, Credential: vmx.NamePassword(user, password)}

	for _, some := range []map[string]func() error{operations(ops), writes(ops)} {
		for name, do := range some {
			recorder.requests = nil
			_ = do()
			messages[name] = recorder.requests[0][len(vmx.Relayed(nil)):]
		}
	}

	return messages
}

// refusal is what comes of a message, which has to be an error that this message may lead to.
func refusal(t *testing.T, guest vmx.Guest, what string, message []byte, wanted ...error) {
	t.Helper()

	raw, err := guest.Request(vmx.Relayed(message))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}

	// Whether it is binary is what a flag says that may not have come.
	reply, err := vmx.Decode(raw, strings.HasSuffix(string(raw), "#"))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}

	if wrong := errorOf(reply.Code, wanted...); wrong != nil {
		t.Errorf("%s: %v", what, wrong)
	}
}

func TestAMessageThatIsCutIsRefusedWhereverItIsCut(t *testing.T) {
	guest := agent(t)

	for name, message := range wellFormed() {
		for length := range message {
			refusal(t, guest, fmt.Sprintf("%s, %d bytes of %d", name, length, len(message)), message[:length], badHeader, badBody)
		}
	}

	alive(t, guest)
}

// alive asks something that has to work.
func alive(t *testing.T, guest vmx.Guest) {
	t.Helper()
	wants(t, "validate in the end", as(guest, user).Validate(), nil)
}

func TestAHeaderThatLiesIsRefused(t *testing.T) {
	guest := agent(t)

	// Offsets of the header, and what is written there.
	for _, lie := range []struct {
		what   string
		offset int
		change func(was uint32) uint32
	}{
		{"magic", 0, func(uint32) uint32 { return 0xd00d0002 }},
		{"total + 1", 6, func(was uint32) uint32 { return was + 1 }},
		{"total - 1", 6, func(was uint32) uint32 { return was - 1 }},
		{"total, all bits", 6, func(uint32) uint32 { return 1<<32 - 1 }},
		{"header 50", 10, func(uint32) uint32 { return 50 }},
		{"header 52", 10, func(uint32) uint32 { return 52 }},
		{"header, all bits", 10, func(uint32) uint32 { return 1<<32 - 1 }},
		{"body + 1", 14, func(was uint32) uint32 { return was + 1 }},
		{"body, all bits", 14, func(uint32) uint32 { return 1<<32 - 1 }},
		{"credential + 1", 18, func(was uint32) uint32 { return was + 1 }},
		{"credential, all bits", 18, func(uint32) uint32 { return 1<<32 - 1 }},
	} {
		for name, good := range wellFormed() {
			message := append([]byte{}, good...)
			at := message[lie.offset:]
			binary.LittleEndian.PutUint32(at, lie.change(binary.LittleEndian.Uint32(at)))
			refusal(t, guest, name+", "+lie.what, message, badHeader, badBody)
		}
	}

	for name, good := range wellFormed() {
		message := append([]byte{}, good...)
		message[4] = 4
		refusal(t, guest, name+", version 4", message, badHeader, badBody)

		message = append([]byte{}, good...)
		message[22] &^= 1
		refusal(t, guest, name+", no request", message, badHeader, badBody)
	}

	alive(t, guest)
}

func TestABodyThatLiesIsRefused(t *testing.T) {
	guest := agent(t)
	credential := vmx.NamePassword(user, password)

	u32 := func(numbers ...uint32) []byte {
		var bytes []byte
		for _, number := range numbers {
			bytes = binary.LittleEndian.AppendUint32(bytes, number)
		}

		return bytes
	}
	with := func(parts ...[]byte) []byte {
		var all []byte
		for _, part := range parts {
			all = append(all, part...)
		}

		return all
	}

	const most = 1<<32 - 1

	for what, body := range map[string]struct {
		op   uint32
		body []byte
	}{
		"2^29+1 pids":                {186, u32(0, 0, 1<<29+1)},
		"2^30 pids":                  {186, u32(0, 0, 1<<30)},
		"a thousand pids of one":     {186, u32(0, 0, 1000, 1, 0)},
		"a pid in half":              {186, u32(0, 0, 1, 1)},
		"end half a pid":             {193, u32(1)},
		"end nothing":                {193, nil},
		"start, a long path":         {185, with([]byte{0}, u32(most, 0, 0, 0, 0), []byte("a\x00"))},
		"start, lengths that wrap":   {185, with([]byte{0}, u32(2, most, 1, 0, 0), []byte("a\x00"))},
		"start, no NUL":              {185, with([]byte{0}, u32(2, 0, 0, 0, 0), []byte("ab"))},
		"start, variables that lie":  {185, with([]byte{0}, u32(2, 0, 0, most, 2), []byte("a\x00b\x00"))},
		"environment, lying":         {187, with(u32(most, 2), []byte("A\x00"))},
		"environment, long":          {187, with(u32(1, most), []byte("A\x00"))},
		"environment, no NUL":        {187, with(u32(1, 2), []byte("AB"))},
		"list, a long path":          {177, with(u32(0, most, 0, 0, 10, 0, 0), []byte("/\x00\x00"))},
		"list, a long pattern":       {177, with(u32(0, 1, most, 0, 10, 0, 0), []byte("/\x00\x00"))},
		"list, no NUL":               {177, with(u32(0, 2, 0, 0, 10, 0, 0), []byte("/t"))},
		"from guest, a long path":    {188, with(u32(0, 1000, 0, 0, 0, 0, 0), []byte("/talos\x00\x00"))},
		"delete, a long path":        {194, with(u32(0, most), []byte("/tmp/a\x00"))},
		"delete, a shorter path":     {194, with(u32(0, 5), []byte("/t\x00pa\x00"))},
		"temporary, lengths lie":     {181, with(u32(0, most, 1, 1, 0), []byte("a\x00b\x00c\x00"))},
		"temporary, lengths wrap":    {181, with(u32(0, most, 2, 1, 0), []byte("a\x00b\x00c\x00"))},
		"temporary, more than it is": {181, with(u32(0, 1, 1, 0, 0), []byte("a\x00b\x00\x00more"))},
		"hgfs, a long packet":        {84, with(u32(most, 0), make([]byte, 60))},
		"hgfs, a byte more":          {84, with(u32(61, 0), make([]byte, 60))},
		"hgfs, none":                 {84, nil},
	} {
		reply, err := vmx.Send(guest, vmx.Command{Op: body.op, Body: body.body, Credential: credential, Binary: body.op == 84})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}

		if wrong := errorOf(reply.Code, badHeader, badBody); wrong != nil {
			t.Errorf("%s: %v", what, wrong)
		}
	}

	// What is no text is said to be none.
	reply, err := vmx.Send(guest, vmx.Command{Op: 194, Body: with(u32(0, 6), []byte("/tmp/\xff\x00")), Credential: credential})
	if err != nil {
		t.Fatal(err)
	}

	wants(t, "a path that is no UTF-8", errorOf(reply.Code, vix.Error(27), badBody), nil)

	alive(t, guest)
}

func TestACredentialThatLiesIsRefused(t *testing.T) {
	guest := agent(t)
	good := vmx.NamePassword(user, password).Blob

	change := func(do func(blob []byte) []byte) []byte { return do(append([]byte{}, good...)) }

	for what, blob := range map[string][]byte{
		"nothing":          nil,
		"no text":          good[:8],
		"half of a length": good[:6],
		"no NUL":           good[:len(good)-1],
		"cut":              good[:len(good)-5],
		"not base64":       change(func(blob []byte) []byte { copy(blob[8:], "####"); return blob }),
		"an open escape":   append(append([]byte{}, good[:8]...), "b3Bz\\\x00"...),
		"no second NUL":    append(append([]byte{}, good[:8]...), "b3Bz\x00"...),
	} {
		for _, op := range []uint32{186, 84, vmx.ValidateCredentials} {
			body := make([]byte, 12)
			if op == 84 {
				body = append([]byte{60, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 60)...)
			}

			reply, err := vmx.Send(guest, vmx.Command{
				Op: op, Body: body, Credential: vmx.Credential{Kind: 1, Blob: blob}, Binary: op == 84,
			})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}

			if wrong := errorOf(reply.Code, badHeader, badBody, invalidLogin, permission, notSupported); wrong != nil {
				t.Errorf("%s, operation %d: %v", what, op, wrong)
			}
		}
	}

	// Lengths beside the text that do not fit it: whatever counts, nothing comes to an end.
	for _, lengths := range [][2]uint32{{1 << 31, 0}, {0, 1 << 31}, {1<<32 - 1, 1<<32 - 1}} {
		blob := append([]byte{}, good...)
		binary.LittleEndian.PutUint32(blob, lengths[0])
		binary.LittleEndian.PutUint32(blob[4:], lengths[1])

		if _, err := vmx.Send(guest, vmx.Command{Op: 186, Body: make([]byte, 12), Credential: vmx.Credential{Kind: 1, Blob: blob}}); err != nil {
			t.Fatal(err)
		}
	}

	alive(t, guest)
}

func TestAPacketThatLiesIsRefused(t *testing.T) {
	guest := agent(t)
	ops := as(guest, user)

	session, err := ops.Open()
	wants(t, "a session", err, nil)

	request := hgfs.RequestGetattrV2{}
	request.FileName.FromString("/talos/README.txt")

	payload, err := hgfs.MarshalBinary(&request)
	if err != nil {
		t.Fatal(err)
	}

	packet := hgfs.Packet{Payload: append(payload, 0)}
	packet.Header = hgfs.Header{
		Version: 1, Dummy: hgfs.OpNewHeader, HeaderSize: 52, RequestID: 7, Op: hgfs.OpGetattrV2, Flags: 1, SessionID: session.ID,
	}

	good, err := packet.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}

	// send gives the status of the reply, 0 for success; there is one to each packet, or an error of VIX.
	send := func(what string, packet []byte) uint32 {
		reply, err := vmx.Send(guest, vmx.Command{Op: 84, Body: vmx.Packet(packet), Credential: ops.Credential, Binary: true})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}

		if reply.Code != vix.OK {
			return uint32(reply.Code)
		}

		if len(reply.Result) < 52 {
			t.Fatalf("%s: %q", what, reply.Result)
		}

		return binary.LittleEndian.Uint32(reply.Result[24:])
	}

	if status := send("a good one", good); status != 0 {
		t.Errorf("a good one: %d", status)
	}

	// All but the last byte, which hosts send and govmomi does not.
	for length := range len(good) - 1 {
		if status := send("cut", good[:length]); status == 0 {
			t.Errorf("%d bytes of %d are enough", length, len(good))
		}
	}

	for what, lie := range map[string]struct {
		offset int
		value  uint32
	}{
		"size + 1":          {8, uint32(len(good) + 1)},
		"size, all bits":    {8, 1<<32 - 1},
		"size 0":            {8, 0},
		"header size 51":    {12, 51},
		"header beyond":     {12, uint32(len(good) + 1)},
		"header, all bits":  {12, 1<<32 - 1},
		"another session":   {36, 12345},
		"name, all bits":    {52 + 8 + 12, 1<<32 - 1},
		"name beyond":       {52 + 8 + 12, 1000},
		"operation 48":      {20, 48},
		"operation 1000":    {20, 1000},
		"operation, no one": {20, 1<<32 - 1},
	} {
		packet := append([]byte{}, good...)
		binary.LittleEndian.PutUint32(packet[lie.offset:], lie.value)

		if status := send(what, packet); status == 0 {
			t.Errorf("%s is taken", what)
		}
	}

	wants(t, "close", session.Close(), nil)
	alive(t, guest)
}
