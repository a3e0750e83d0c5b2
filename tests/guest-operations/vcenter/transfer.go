package vcenter

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"talos-vmtoolsd/guest-operations/vmx"
)

// transferPath is what the URLs of files begin with, as on a real host.
const transferPath = "/guestFile"

// ticket is the URL of a file, good once, for this user.
func (v *VCenter) ticket(ops vmx.Operator, path string) string {
	token := rand.Text()

	v.mutex.Lock()
	defer v.mutex.Unlock()

	v.tickets[token+path] = ops

	return (&url.URL{
		Scheme:   "https",
		Host:     "*",
		Path:     transferPath,
		RawQuery: url.Values{"id": {path}, "token": {token}}.Encode(),
	}).String()
}

// transfer is a download or upload.
func (v *VCenter) transfer(w http.ResponseWriter, r *http.Request) {
	path, token := r.URL.Query().Get("id"), r.URL.Query().Get("token")

	v.mutex.Lock()
	ops, ok := v.tickets[token+path]
	delete(v.tickets, token+path)
	v.mutex.Unlock()

	if !ok {
		http.Error(w, "no such ticket", http.StatusNotFound)

		return
	}

	var err error

	switch r.Method {
	case http.MethodGet:
		err = download(ops, path, w)
	case http.MethodPut:
		err = ops.Upload(path, r.Body)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}

	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// download sends a file piece by piece. One that ends before its length cuts the connection, so that the client sees it.
func download(ops vmx.Operator, path string, w http.ResponseWriter) error {
	file, err := ops.Download(path)
	if err != nil {
		return err
	}

	w.Header().Set("Content-Length", strconv.FormatInt(file.Size, 10))

	sent, err := io.Copy(flushing{w}, file)
	// What the client does not take does not concern the guest: the file is given back whatever happened.
	closed := file.Close()

	if err != nil || closed != nil || sent < file.Size {
		panic(http.ErrAbortHandler)
	}

	return nil
}

// flushing lets each piece go as it comes.
type flushing struct {
	http.ResponseWriter
}

func (f flushing) Write(data []byte) (int, error) {
	written, err := f.ResponseWriter.Write(data)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}

	return written, err
}
