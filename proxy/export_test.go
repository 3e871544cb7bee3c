package proxy

// TakeSeats takes all seats at an enforcer's desk, and returns what gives them
// back.
func TakeSeats(e *Enforcer) (leave func()) {
	e.desk.open()
	for range cap(e.desk.seats) {
		e.desk.seats <- struct{}{}
	}
	return func() {
		for range cap(e.desk.seats) {
			<-e.desk.seats
		}
	}
}
