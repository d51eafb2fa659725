"""Small pieces that recurrent networks share: dropouts, cells, losses. For plugin authors too.

Imports the model contract. Called by models, built in or from plugins.
"""
