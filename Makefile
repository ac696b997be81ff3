.PHONY: docs
docs:
	python -m sphinx -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
