-- Run once, when the server is new: one database each for the engine and Temporal.
CREATE DATABASE deviceops;
CREATE DATABASE temporal;
CREATE DATABASE temporal_visibility;
