package main

// An export says which hash key it was counted under: the names in it mean
// nothing under another one, and what they have used would count for nobody.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A keyedWriter puts the fingerprint of the key into the export's first line.
type keyedWriter struct {
	w  io.Writer
	id string // "" once it is written
}

func (k *keyedWriter) Write(p []byte) (int, error) {
	if k.id == "" || len(p) == 0 || p[0] != '{' {
		return k.w.Write(p)
	}
	head := fmt.Sprintf(`{"key":%q,`, k.id)
	k.id = ""
	if _, err := io.WriteString(k.w, head); err != nil {
		return 0, err
	}
	n, err := k.w.Write(p[1:])
	return n + 1, err
}

// headBytes is more than an export's first line has.
const headBytes = 1024

// countedUnder returns what from still has to say, all of it, or an error if
// that is an export that was counted under another key.
func countedUnder(key *hashKey, from io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(from, headBytes)
	line, _ := b.Peek(headBytes) // fewer are no error here
	line, _, _ = bytes.Cut(line, []byte("\n"))
	var head struct {
		Key string `json:"key"`
	}
	if json.Unmarshal(line, &head) == nil && head.Key != "" && head.Key != key.id() {
		return nil, hinted(errors.New("import: it was counted under another hash key: every account that is not listed would start at nothing"),
			"name the key file of where it comes from in %sHASH_KEY_FILE", envPrefix)
	}
	return b, nil
}
