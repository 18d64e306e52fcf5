import logging


def run(job_input):
    things = ["a", "b", "c"]
    logging.getLogger(__name__).info("counted %d things", len(things))
    job_input.set_all_properties({"things": len(things), "first": things[0]})
