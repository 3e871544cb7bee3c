package ratelimit

// The script that decides in Redis: the files of script/, in the order of their
// names, as one text. Each is one idea, as in the Go engine that they follow.

import (
	"embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed script/*.lua
var scriptFiles embed.FS

const (
	clockFile = "00_clock.lua"
	wordsFile = "05_words.lua"
)

func newScript(clock string) (*redis.Script, error) {
	text, err := scriptText(clock)
	if err != nil {
		return nil, err
	}
	return redis.NewScript(text), nil
}

// scriptText puts the script together: the quick way comes first, and costs
// nothing that it does not use; what follows the words is one function, whose
// parts find the words at less cost than those of a chunk. A clock other than
// the server's is for tests.
func scriptText(clock string) (string, error) {
	files, err := scriptFiles.ReadDir("script")
	if err != nil {
		return "", fmt.Errorf("read the script: %w", err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := scriptFiles.ReadFile("script/" + f.Name())
		if err != nil {
			return "", fmt.Errorf("read the script: %w", err)
		}
		if f.Name() == clockFile && clock != "" {
			text = []byte(clock)
		}
		if f.Name() == wordsFile {
			b.WriteString("local done = ARGV[5] ~= '' and quick(now)\nif done then\nreturn done\nend\n")
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimLeft(line, " ")
			if line != "\n" && !strings.HasPrefix(line, "--") {
				b.WriteString(line)
			}
		}
		if f.Name() == wordsFile {
			b.WriteString("local function decided()\n")
		}
	}
	b.WriteString("end\nreturn decided()\n")
	return b.String(), nil
}

// argumentClock takes the time and the order of bookings from the call: for
// tests, whose clock only they move.
const argumentClock = `
local now, ordinal = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])
`
