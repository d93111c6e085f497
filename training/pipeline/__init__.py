"""The steps that Airflow orders, and the folders of a run."""
