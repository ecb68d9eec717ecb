"""`python -m infra.kafka`: a broker until Ctrl-C."""

from infra.kafka.broker import main

main()
