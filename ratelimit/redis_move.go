package ratelimit

// Moving a ledger into Redis and out of it. See move.go for the stores in
// process; the lines are the same.

import (
	"bufio"
	"context"

	"fmt"
	"io"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Export writes all that the ledger has counted, in lines of JSON. Every
// account is as it is at the moment it is read; what is charged meanwhile to
// one that was written already is not in it. What is on its way, or booked,
// goes along as counted.
func (s *Redis) Export(ctx context.Context, w io.Writer) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	now, err := s.time(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := writeHeader(out, now); err != nil {
		return err
	}
	var names []string
	if err := s.eachName(ctx, func(name string, _ bool) error { names = append(names, name); return nil }); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fields, err := s.client.HGetAll(ctx, s.prefix+":"+tag(name)+":a").Result()
		if err != nil {
			return fmt.Errorf("export from redis: %w", err)
		}
		if len(fields) == 0 { // it has ended meanwhile
			continue
		}
		recs, err := redisRecords(name, fields)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		for _, rec := range recs {
			if err := writeLine(out, rec); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

func (s *Redis) time(ctx context.Context) (int64, error) {
	if s.tested {
		return s.wall().UnixMilli(), nil
	}
	t, err := s.client.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("ask redis for its time: %w", err)
	}
	return t.UnixMilli(), nil
}

// Import reads what an Export of any store has written. Every account must be
// new to this one. All is read before anything is taken in; the error names the
// line that could not be. It is for a store that nobody uses yet.
func (s *Redis) Import(ctx context.Context, r io.Reader) error {
	in, err := readExport(r)
	if err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	now, err := s.time(ctx)
	if err != nil {
		return err
	}
	if err := fromTheFuture(in.time, s.wall()); err != nil {
		return fmt.Errorf("import: %w: %w", ErrInvalid, err)
	}
	accounts, err := s.fresh(ctx, in)
	if err != nil {
		return err
	}
	of := map[string][]importedRecord{}
	for _, rec := range in.records {
		of[rec.account] = append(of[rec.account], rec)
	}
	for part := range slices.Chunk(accounts, importAtOnce) {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, name := range part {
				fields := map[string]string{"n": fmt.Sprint(max(now, in.time))}
				for _, one := range of[name] {
					rec, err := decodeRecord(one.account, one.key, one.body)
					if err != nil {
						return err
					}
					redisFields(fields, rec)
				}
				p.HSet(ctx, s.prefix+":"+tag(name)+":a", fields)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("import into redis: %w", err)
		}
	}
	s.names.Purge()
	s.publish(ctx, News{All: true})
	return nil
}

// fresh lists the accounts of an export, all of which must be new.
func (s *Redis) fresh(ctx context.Context, in imported) (accounts []string, err error) {
	seen := map[string]bool{}
	for _, rec := range in.records {
		if seen[rec.account] {
			continue
		}
		seen[rec.account] = true
		accounts = append(accounts, rec.account)
		n, err := s.client.Exists(ctx, s.prefix+":"+tag(rec.account)+":a").Result()
		if err != nil {
			return nil, fmt.Errorf("import into redis: %w", err)
		}
		if n > 0 {
			return nil, fmt.Errorf("import: line %d: %w: the ledger has counted for this account already; import into an empty one", rec.line, ErrInvalid)
		}
	}
	return accounts, nil
}
