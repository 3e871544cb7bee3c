package certs

// A Refusal is a state of the world in which quotagate does not go on: what
// is wrong, as a sentence with its place, and the way out of it.
type Refusal struct {
	Problem string
	Way     string
	Err     error // what lies beneath, or nil
}

func (r *Refusal) Error() string { return r.Problem }

// Hint is the way out, for the line after the error.
func (r *Refusal) Hint() string { return r.Way }

func (r *Refusal) Unwrap() error { return r.Err }
