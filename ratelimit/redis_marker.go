package ratelimit

// The marker: a key with a random name of the store, written once. A server
// that comes back without it has lost what was counted. On a Cluster there is
// one for every 256 slots as well, so that every master has its own.

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

const (
	clusterSlots  = 16384
	clusterShares = 64
)

// clusterMarkers are keys, without the prefix, in each of the 64 equal parts of the slots.
var clusterMarkers = spreadKeys()

func spreadKeys() []string {
	var keys [clusterShares]string
	for i, found := 0, 0; found < clusterShares; i++ {
		tag := fmt.Sprint("m", i)
		part := int(crc16(tag)) % clusterSlots / (clusterSlots / clusterShares)
		if keys[part] == "" {
			keys[part] = ":{" + tag + "}:marker"
			found++
		}
	}
	return keys[:]
}

// crc16 is CRC-16/XMODEM, by which a Cluster finds a key's slot
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/,
// read 2026-11-20).
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func markerKeys(c redis.UniversalClient, prefix string) []string {
	keys := []string{markerKey(prefix)}
	if _, ok := c.(*redis.ClusterClient); ok {
		for _, k := range clusterMarkers {
			keys = append(keys, prefix+k)
		}
	}
	return keys
}

// readMarker returns the store's marker, "" if it is missing somewhere.
func readMarker(ctx context.Context, c redis.UniversalClient, prefix string) (string, error) {
	keys := markerKeys(c, prefix)
	cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range keys {
			p.Get(ctx, k)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read the store's marker: %w", err)
	}
	marker := ""
	for i, cmd := range cmds {
		one, err := cmd.(*redis.StringCmd).Result()
		switch {
		case errors.Is(err, redis.Nil):
			return "", nil
		case err != nil:
			return "", fmt.Errorf("read the store's marker: %w", err)
		case i > 0 && one != marker:
			return "", nil
		}
		marker = one
	}
	return marker, nil
}

// swapMarker writes a marker in the place of another, once.
var swapMarker = redis.NewScript(`
local is = redis.call('GET', KEYS[1]) or ''
if is == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[1])
  is = ARGV[1]
end
return is`)

// writeMarker writes a marker in the place of another, "" for none, and returns
// the one that the first key has afterwards: another replica may have been
// first. The other keys of a Cluster are only written with the first: what is
// missing there alone was lost.
func writeMarker(ctx context.Context, c redis.UniversalClient, prefix, marker, was string) (string, error) {
	keys := markerKeys(c, prefix)
	is, err := swapMarker.Run(ctx, c, keys[:1], marker, was).Text()
	if err != nil {
		return "", fmt.Errorf("mark the store: %w", err)
	}
	if is != marker {
		return is, nil
	}
	_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range keys[1:] {
			p.Set(ctx, k, marker, 0)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("mark the store: %w", err)
	}
	return marker, nil
}
