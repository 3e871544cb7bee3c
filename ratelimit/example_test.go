package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"quotagate/ratelimit"
)

// Two messages may be sent at least a minute apart, and never more than two.
func Example() {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	store := ratelimit.NewMemory(ratelimit.Options{Now: func() time.Time { return now }})
	claims := []ratelimit.Claim{
		{Limit: "space-out", Measure: ratelimit.Pace, Cost: 1, Span: 60_000, Wait: 90_000},
		{Limit: "trial", Measure: ratelimit.Lifetime, Cost: 1, Allow: 2},
	}
	ctx := context.Background()
	for i := range 3 {
		d, err := store.Reserve(ctx, ratelimit.Request{ID: fmt.Sprint("message-", i), Account: "anna", Claims: claims})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Verdict, d.Limit, "never:", d.Never(), "used of the trial:", d.Uses[1].Used)
	}
	now = now.Add(time.Minute)
	d, _ := store.Fire(ctx, "message-1")
	fmt.Println(d.Verdict)
	// Output:
	// go  never: false used of the trial: 1
	// booked space-out never: false used of the trial: 2
	// refused trial never: true used of the trial: 2
	// go
}
