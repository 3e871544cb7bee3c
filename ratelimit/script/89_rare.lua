-- Here end the parts that few calls need.
return {
  generous = generous, distinctRolling = distinctRolling, answers = answers, ratio = ratio,
  similar = similar, concurrent = concurrent, hours = hours, reservations = reservations, queues = queues,
  engine = engine, merging = merging, verbs = verbs,
}
end
